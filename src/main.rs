//! parse → context → run → print error and hint → exit code.

fn main() {}

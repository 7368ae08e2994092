//! parse → context → run → print error and hint → exit code. The only way out.

use clap::Parser;
use parachute::{
    cli::Cli,
    commands::{self, completions},
    context::Context,
    output::Output,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(shell) = Context::completing() {
        return complete(&shell);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(Output::unread().usage(&error) as u8),
    };
    let output = Output::new(cli.global.json, cli.global.color);
    let context = Context::read(cli.global.home.clone(), output.teller());
    let exit = match commands::run(&cli.verb, &context, &output) {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            error.exit()
        }
    };
    ExitCode::from(exit as u8)
}

/// A shell asks what could stand where its user is typing.
fn complete(shell: &str) -> ExitCode {
    let output = Output::new(false, clap::ColorChoice::Never);
    let context = Context::read(None, output.teller());
    match completions::answer(shell, &context, &output) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit() as u8)
        }
    }
}

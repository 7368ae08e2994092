//! Writes lines to a stream that may block, from a thread of its own: whoever has lines never waits.
//! What the stream does not take in time is dropped, counted, and said when it takes again.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How much may wait for the stream, in bytes.
const ROOM: usize = 256 * 1024;

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    dropped: u64,
    writing: bool,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to one stream's queue.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

impl Console {
    /// A console that writes to `stream`.
    pub fn new(stream: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writing = shared.clone();
        std::thread::Builder::new()
            .name("console".into())
            .stack_size(128 * 1024)
            .spawn(move || write_on(&writing, stream))?;
        Ok(Self(shared))
    }

    /// Queues lines, each ended by its newline, with a prefix before each.
    pub fn lines(&self, prefix: &str, lines: &[u8]) {
        let mut queue = self.0.queue();
        let mut dropped = 0;
        for line in lines.split_inclusive(|&b| b == b'\n') {
            if queue.bytes.len() + prefix.len() + line.len() > ROOM || queue.closed {
                dropped += 1;
                continue;
            }
            queue.bytes.extend_from_slice(prefix.as_bytes());
            queue.bytes.extend_from_slice(line);
        }
        queue.dropped += dropped;
        let idle = !queue.writing;
        drop(queue);
        if idle {
            self.0.changed.notify_all();
        }
    }

    /// Waits until everything is written, at most this long. Nothing is taken afterwards.
    pub fn finish(&self, bound: Duration) {
        let end = Instant::now() + bound;
        let mut queue = self.0.queue();
        queue.closed = true;
        self.0.changed.notify_all();
        while queue.writing || !queue.bytes.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = match self.0.changed.wait_timeout(queue, left) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// One write is one line or more, whole.
impl Write for Console {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.lines("", lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_on(shared: &Shared, mut stream: impl Write) {
    loop {
        let (bytes, dropped) = {
            let mut queue = shared.queue();
            queue.writing = false;
            shared.changed.notify_all();
            while queue.bytes.is_empty() && !queue.closed {
                queue = shared
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if queue.bytes.is_empty() {
                return;
            }
            queue.writing = true;
            (
                std::mem::take(&mut queue.bytes),
                std::mem::take(&mut queue.dropped),
            )
        };
        // A stream that is closed swallows everything; there is nobody to tell.
        let _ = stream.write_all(&bytes);
        if dropped > 0 {
            let missing = match dropped {
                1 => "1 line is".to_owned(),
                n => format!("{n} lines are"),
            };
            let _ = writeln!(
                stream,
                "[hub] {missing} missing here: this stream was not read fast enough"
            );
        }
        let _ = stream.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A stream that takes a write only when it is let.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_line_is_one_line() {
        let (open, gate) = mpsc::channel();
        let out = Arc::new(Mutex::new(Vec::new()));
        let console = Console::new(Gate(gate, out.clone())).unwrap();
        console.lines("", &[vec![b'x'; ROOM], vec![b'\n']].concat());
        console.lines("", b"short\n");
        drop(open);
        console.finish(Duration::from_secs(10));
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        assert!(text.contains("[hub] 1 line is missing here"), "{text}");
    }

    #[test]
    fn a_blocked_stream_blocks_nobody_and_the_loss_is_said() {
        let (open, gate) = mpsc::channel();
        let out = Arc::new(Mutex::new(Vec::new()));
        let console = Console::new(Gate(gate, out.clone())).unwrap();
        let line = [b'x'; 999]
            .iter()
            .copied()
            .chain([b'\n'])
            .collect::<Vec<_>>();
        for _ in 0..1000 {
            console.lines("[a] ", &line);
        }
        drop(open);
        console.finish(Duration::from_secs(10));
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        let shown = text.lines().filter(|l| l.starts_with("[a] xxx")).count();
        let said: usize = text
            .lines()
            .filter_map(|l| {
                l.strip_prefix("[hub] ")?
                    .split(' ')
                    .next()?
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        assert!(shown <= 2 * ROOM / 1000, "{shown} lines waited");
        assert_eq!(shown + said, 1000);
    }
}

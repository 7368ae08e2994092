//! When a module is ready: a proven member of its group listens on its port, or it has said so; where
//! the holder cannot be looked up, a live child and a live health path do. A mere open port never does.

use super::{Shared, child::Child};
use crate::os::{
    port::{self, Holding, Listeners},
    process,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a health path has to answer.
const PROBE: Duration = Duration::from_millis(1500);

/// How it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// A member listens.
    Bound,
    /// It said so.
    Said,
    /// Its health path answers; who answers cannot be looked up.
    Answers,
}

/// Returns when the child is ready; never when it never is.
pub(super) async fn watch(shared: Arc<Shared>, child: Arc<Child>) -> Ready {
    let said = async {
        if let Some(mut word) = child.word.clone()
            && word.wait_for(|ready| *ready).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    };
    tokio::select! {
        () = said => Ready::Said,
        ready = bound(&shared, &child) => ready,
    }
}

async fn bound(shared: &Shared, child: &Child) -> Ready {
    loop {
        let listeners = shared.ports.bound(child.row.port, child.born).await;
        if let Some(ready) = judge(child, &listeners).await {
            return ready;
        }
        // Somebody else listens there: this may last.
        let waited = child.born.elapsed();
        sleep((waited / 8).clamp(Duration::from_millis(20), Duration::from_secs(2))).await;
    }
}

/// The cheap look first: most modules listen in the process that was spawned.
async fn judge(child: &Child, listeners: &Listeners) -> Option<Ready> {
    let port = child.row.port;
    if let Ok(Some(leader)) = process::look(child.record.pid)
        && Some(leader.start) == child.record.start
        && port::held(port, &[leader], listeners) == Holding::Ours
    {
        return Some(Ready::Bound);
    }
    let holding = match child.members().await {
        Some(group) => port::held(port, &group.members, listeners),
        None if child.exit.borrow().is_none() => {
            port::held_by_session(port, child.record.pid, listeners)
        }
        None => return None,
    };
    match holding {
        Holding::Ours => Some(Ready::Bound),
        Holding::Unknown if answers(port, &child.row.health).await => Some(Ready::Answers),
        _ => None,
    }
}

/// Does a health path answer 2xx or 401?
async fn answers(port: u16, path: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        let mut limited = stream.take(64);
        while !head.contains(&b'\n') && limited.read_buf(&mut head).await.ok()? > 0 {}
        Some(is_live(&head))
    };
    matches!(timeout(PROBE, asked).await, Ok(Some(true)))
}

/// Reads the status line of an answer.
fn is_live(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut words = text.split(' ');
    let version = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let code = words.next().unwrap_or_default().trim_end();
    version && code.len() == 3 && (code.starts_with('2') || code == "401")
}

#[cfg(test)]
mod tests {
    use super::is_live;

    #[test]
    fn live_is_2xx_and_401() {
        assert!(is_live(b"HTTP/1.1 200 OK\r\n"));
        assert!(is_live(b"HTTP/1.0 204\r\n"));
        assert!(is_live(b"HTTP/1.1 401 Unauthorized\r\n"));
        for dead in [
            &b"HTTP/1.1 500 x\r\n"[..],
            b"HTTP/1.1 403 x\r\n",
            b"HTTP/1.1 2000 x\r\n",
            b"200",
            b"SSH-2.0-x\r\n",
            b"",
        ] {
            assert!(!is_live(dead), "{dead:?}");
        }
    }
}

//! A module's log as its hub streams it. When the hub goes, its next life is waited for; when the
//! module goes, that is the end.

use super::Line;
use crate::{
    client::{Client, Follow, Heard, bare},
    error::{Code, Result},
};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// How long a hub that went away is waited for.
const RETURN: Duration = Duration::from_secs(24 * 3600);
/// Between two tries, and before the hub is asked why a stream has ended: one that goes down in
/// order may answer a moment longer than it streams.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends its lines until the module goes, or nobody wants them any more.
pub(super) async fn follow(
    client: &Client,
    short: &str,
    to: &Sender<Result<Vec<Line>>>,
) -> Result<()> {
    let mut again = false;
    loop {
        let before = instance(client).await;
        let heard = match client.follow(short).await {
            Ok(follow) => match pass_on(follow, short, to).await {
                Some(heard) => Some(heard),
                None => return Ok(()),
            },
            // It has been followed before: its hub has gone once more, or has not come to it yet.
            Err(e) if again && matches!(e.code, Code::HubUnreachable | Code::NotSupervised) => None,
            Err(e) => return Err(e),
        };
        again = true;
        tokio::time::sleep(PAUSE).await;
        let Some(heard) = heard else {
            client.wait_healthy(RETURN, None).await?;
            continue;
        };
        let before = before.unwrap_or_default();
        if over(&heard, before.as_deref(), instance(client).await.as_ref()) {
            return Ok(());
        }
        client.wait_healthy(RETURN, before.as_deref()).await?;
    }
}

/// The nonce of the hub that answers, where it has one; `None` when none answers.
async fn instance(client: &Client) -> Option<Option<String>> {
    client.health().await.ok().map(|health| health.instance)
}

/// Sends lines to their end; `None` when nobody wants them any more.
async fn pass_on(mut from: Follow, short: &str, to: &Sender<Result<Vec<Line>>>) -> Option<Heard> {
    loop {
        match from.next().await {
            Heard::Line(line) => {
                let line = Line {
                    who: short.to_owned(),
                    text: bare(short, &line).to_owned(),
                };
                to.send(Ok(vec![line])).await.ok()?;
            }
            end => return Some(end),
        }
    }
}

/// Was it the module that went, and not its hub: the same boot of the hub answers still. A hub
/// without a nonce is taken for the same one, unless its connection broke.
fn over(heard: &Heard, before: Option<&str>, now: Option<&Option<String>>) -> bool {
    match (before, now) {
        (_, None) => false,
        (Some(before), Some(now)) => now.as_deref() == Some(before),
        (None, Some(Some(_))) => false,
        (None, Some(None)) => *heard == Heard::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_over_when_its_hub_is_still_there() {
        use Heard::{Broken, End};
        let nonce = |text: &str| Some(Some(text.to_owned()));
        for (heard, before, now, want) in [
            (End, Some("a"), nonce("a"), true),
            (Broken, Some("a"), nonce("a"), true),
            (End, Some("a"), nonce("b"), false),
            (End, Some("a"), Some(None), false),
            (End, Some("a"), None, false),
            (End, None, Some(None), true),
            (Broken, None, Some(None), false),
            (End, None, nonce("a"), false),
            (End, None, None, false),
        ] {
            assert_eq!(
                over(&heard, before, now.as_ref()),
                want,
                "{heard:?} {before:?} {now:?}"
            );
        }
    }
}

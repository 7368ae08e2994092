//! Starting, stopping and restarting by systemd's jobs: the signal is listened for before the job
//! is made, and when it does not come the job itself is looked at.

use super::{
    Systemd, UNIT,
    agent::Agent,
    bus,
    bus::{Fault, How},
};
use crate::{
    error::{Code, Error, Result},
    manager::{Scope, Tail, UnitState, late},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use zbus::{MatchRule, MessageStream, OwnedObjectPath, message::Type};

/// The longest that a job may take: above any `TimeoutStartSec` and `TimeoutStopSec` of a hub, so
/// that systemd's own verdict comes first. A verb has a shorter bound of its own.
pub(super) const LONGEST: Duration = Duration::from_secs(150);
/// How long the signal of a job may be silent before the job is looked at.
const SILENT: Duration = Duration::from_millis(500);
/// Lines of the journal that go with a failure.
const LINES: usize = 50;

/// How a wait for a job ended.
enum Over {
    /// With this result; `None` when its signal was lost.
    As(Option<String>),
    /// Time is up.
    NotYet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Verb::Start => "StartUnit",
            Verb::Stop => "StopUnit",
            Verb::Restart => "RestartUnit",
        }
    }
}

impl Systemd {
    /// Carries out a job and returns when it is over; then the unit is where the verb wanted it.
    pub(super) async fn job(&self, verb: Verb, bound: Duration) -> Result<()> {
        let word = verb.word();
        let explain = |fault| self.explain(fault, word);
        let bus = self.bus().await?;
        // Polkit has a say only about the machine's units, and root is not asked.
        let interactive =
            self.caller.terminal && self.scope == Scope::System && self.caller.uid != 0;
        let how = How::asking(interactive);
        let _agent = match interactive {
            true => Agent::open().await,
            false => None,
        };
        let mut removed = self
            .signals(
                bus::MANAGER,
                "org.freedesktop.systemd1.Manager",
                "JobRemoved",
                Some(UNIT),
            )
            .await
            .map_err(explain)?;
        let before = self.facts(UNIT).await.map_err(explain)?;
        if verb == Verb::Stop && before.state() == UnitState::NotInstalled {
            return Err(Error::new(
                Code::NotInstalled,
                format!("there is no {UNIT}"),
            ));
        }
        // systemd counts every start, wanted ones too: without this, one at its limit refuses to start,
        // and one that is stopped stays failed.
        if verb != Verb::Stop || before.active == "failed" {
            (bus.manage("ResetFailedUnit", &(UNIT,), how).await)
                .map(drop)
                .or_else(|fault| match fault.is("NoSuchUnit") {
                    true => Ok(()),
                    false => Err(explain(fault)),
                })?;
        }
        let reply = bus.manage(verb.method(), &(UNIT, "replace"), how).await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(fault) => return self.refused(fault, verb).await,
        };
        let job: OwnedObjectPath = match reply.body().deserialize() {
            Ok(job) => job,
            Err(error) => {
                return Err(Error::new(
                    Code::UnitFailed,
                    format!("systemd's answer cannot be read: {error}"),
                ));
            }
        };
        match self.outcome(&mut removed, job.as_str(), bound).await? {
            Over::As(result) => self.judge(verb, result.as_deref()).await,
            Over::NotYet => Err(late(word, bound).log(self.excerpt().await)),
        }
    }

    /// From here on, a signal of systemd's arrives; `about`, where given, is its argument 2.
    pub(super) async fn signals(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        about: Option<&str>,
    ) -> Result<MessageStream, Fault> {
        let bus = self.bus().await.map_err(Fault::Unreachable)?;
        let mut rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.systemd1")
            .path(path)
            .interface(interface)
            .member(member);
        if let Some(about) = about {
            rule = rule.arg(2, about);
        }
        let rule = rule.build().map_err(|error| Fault::Refused {
            name: String::new(),
            said: error.to_string(),
        })?;
        let stream = bus.listen(rule).await?;
        bus.manage("Subscribe", &(), How::QUICK).await?;
        Ok(stream)
    }

    /// Waits for the end of a job.
    async fn outcome(
        &self,
        removed: &mut MessageStream,
        job: &str,
        bound: Duration,
    ) -> Result<Over> {
        let end = Instant::now() + bound;
        loop {
            let look = (Instant::now() + SILENT).min(end);
            match timeout_at(look, bus::next(removed)).await {
                Ok(Some(Ok(message))) => {
                    type Removed = (u32, OwnedObjectPath, String, String);
                    if let Ok((_, path, _, result)) = message.body().deserialize::<Removed>()
                        && path.as_str() == job
                    {
                        return Ok(Over::As(Some(result)));
                    }
                }
                Ok(Some(Err(_)) | None) => {
                    return Err(Error::new(
                        Code::ManagerUnreachable,
                        format!("the bus went away while {UNIT} was on its way"),
                    )
                    .hint("`parachute status` shows what has become of it"));
                }
                Err(_) if !self.pending(job).await? => return Ok(Over::As(None)),
                Err(_) if Instant::now() >= end => return Ok(Over::NotYet),
                Err(_) => {}
            }
        }
    }

    async fn pending(&self, job: &str) -> Result<bool> {
        let bus = self.bus().await?;
        let state = ("org.freedesktop.systemd1.Job", "State");
        let interface = "org.freedesktop.DBus.Properties";
        match bus.call(job, interface, "Get", &state).await {
            Ok(_) => Ok(true),
            Err(Fault::Refused { .. }) => Ok(false),
            // It takes its jobs along; the next look finds it.
            Err(Fault::Away(_)) => Ok(true),
            Err(Fault::Unreachable(error)) => Err(error),
        }
    }

    /// After the job, the unit has the last word.
    async fn judge(&self, verb: Verb, result: Option<&str>) -> Result<()> {
        let word = verb.word();
        let facts = self
            .facts(UNIT)
            .await
            .map_err(|fault| self.explain(fault, word))?;
        let state = facts.state();
        let reached = match verb {
            Verb::Stop => !matches!(
                state,
                UnitState::Running { .. } | UnitState::Starting | UnitState::Stopping
            ),
            Verb::Start | Verb::Restart => matches!(state, UnitState::Running { .. }),
        };
        let error = match result {
            Some("done") | None if reached => return Ok(()),
            Some("done") | None if state == UnitState::Stopped => Error::new(
                Code::UnitFailed,
                format!("systemd skipped {UNIT}: a condition of the unit is not met"),
            ),
            Some("done" | "failed") | None => Error::new(
                Code::UnitFailed,
                format!("{UNIT} did not {word}: {}", shown(&state)),
            ),
            Some("timeout") => Error::new(
                Code::TimedOut,
                format!("systemd gave up on the {word} of {UNIT}: it took too long"),
            ),
            Some("dependency") => Error::new(
                Code::UnitFailed,
                format!("{UNIT} did not {word}: a unit that it needs failed"),
            )
            .hint(format!("`{} list-dependencies {UNIT}`", self.systemctl())),
            Some("canceled") => Error::new(
                Code::UnitFailed,
                format!("the {word} of {UNIT} was cancelled by another start or stop"),
            ),
            Some("skipped") => Error::new(
                Code::UnitFailed,
                format!("systemd skipped the {word} of {UNIT}: it does not apply as it stands"),
            ),
            Some(other) => Error::new(
                Code::UnitFailed,
                format!("{UNIT} did not {word}: systemd says {other:?}"),
            ),
        };
        Err(error.log(self.excerpt().await))
    }

    /// A job that systemd would not make; a broken or masked unit is told apart.
    async fn refused(&self, fault: Fault, verb: Verb) -> Result<()> {
        // Older ones answer `LoadFailed` for everything, newer ones have a name for each.
        if let Fault::Refused { .. } = &fault
            && !fault.is_denied()
            && let Ok(facts) = self.facts(UNIT).await
            && let UnitState::Broken { said } = facts.state()
        {
            return Err(Error::new(
                Code::UnitFailed,
                format!("{UNIT} cannot be used: {}", super::plain(&said)),
            )
            .hint(match &facts.path {
                Some(path) => format!("`systemd-analyze verify {}`", path.display()),
                None => format!("`systemd-analyze verify {UNIT}`"),
            }));
        }
        Err(self.explain(fault, verb.word()))
    }

    /// The unit's last lines, as they go with an error; none when they cannot be had.
    pub async fn excerpt(&self) -> Vec<String> {
        let tail = Tail {
            lines: LINES,
            since: None,
        };
        self.journal(&tail, "cat").await.unwrap_or_default()
    }
}

fn shown(state: &UnitState) -> String {
    match state {
        UnitState::Failed { cause } | UnitState::Retrying { cause, .. } => cause.to_string(),
        UnitState::Masked => "it is masked".into(),
        UnitState::NotInstalled => "it is not there any more".into(),
        UnitState::Broken { said } => super::plain(said),
        UnitState::Running { .. } => "it still runs".into(),
        UnitState::Starting => "it is still starting".into(),
        UnitState::Stopping => "it is still stopping".into(),
        UnitState::Stopped => "it stopped again at once".into(),
        UnitState::Unknown { said } => said.clone(),
    }
}

//! `parachute serve`: the hub in the foreground. The port comes first, so that a second hub disturbs
//! nothing; then the home, the keys, the routes, and the modules all at once.

mod address;
mod instance;
mod journal;

use crate::{
    api::Reloaded,
    context::Context,
    error::{Code, Error, Exit, Result},
    home::{Home, rel::SERVE_LOCK as LOCK},
    keys::{self, Kept, Keys, Origins},
    os::{files, identity},
    server::{self, App},
    supervisor::{Options, Supervisor, console::Console, guardian},
};
use instance::{Presence, Seen};
use jiff::Timestamp;
use sd_notify::NotifyState;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Who only asks whether a hub runs holds its lock for less than this.
const ASKED: Duration = Duration::from_millis(50);
/// How often the home is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often the token is looked at.
const RENEW: Duration = Duration::from_secs(3600);
/// How long the last lines may take to be written.
const FLUSH: Duration = Duration::from_millis(500);

/// Run the hub in the foreground: it starts every module and keeps them running
///
/// Listens on 127.0.0.1:1939 unless PARACHUTE_BIND_HOST and PORT say otherwise (PORT=0: any free
/// port). SIGTERM stops everything, SIGHUP reads the registry again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How the hub writes its own lines, on stderr
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: journal::Format,
    /// The least serious of its own lines that are written [env: PARACHUTE_LOG] [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<journal::Level>,
}

/// The guardian's life; see [`guardian`].
pub fn guard() -> Exit {
    guardian::guard(std::io::stdin().lock());
    Exit::Success
}

/// Serves until it is told to stop.
pub async fn run(args: &Args, cx: &Context) -> Result<Exit> {
    let home = cx
        .explicit
        .clone()
        .or_else(|| cx.own.clone())
        .ok_or_else(|| {
            Error::new(Code::HomeUnusable, "this user has no home directory")
                .hint("name the box's folder with `--home` or PARACHUTE_HOME")
        })?;
    let asked = address::Address::read(cx)?;
    let level = journal::level(args.log_level, cx)?;
    as_owner(cx, &home)?;
    let mut ends = Ends::new()?;
    let mut reloads = catch(SignalKind::hangup())?;
    let listener = asked.bind().await?;
    let place = listener
        .local_addr()
        .map_err(|e| Error::new(Code::Io, format!("cannot tell the address of the hub: {e}")))?;
    if let Some(refused) = instance::answering(&home, place).await {
        return Err(refused);
    }
    std::fs::create_dir_all(home.root()).map_err(|e| Error::io("make", home.root(), &e))?;
    let lock = files::lock(&home, LOCK, ASKED).map_err(|e| instance::taken(&home, e))?;

    let out = console(rustix::stdio::stdout())?;
    let err = console(rustix::stdio::stderr())?;
    journal::begin(args.log_format, level, err.clone());

    let mut hub = Hub::begin(cx, home, place.port(), lock, out.clone())?;
    // Whoever waits for this line finds the token and the instance file of this boot.
    out.lines(
        "[hub] ",
        format!("listening on http://{place}\n").as_bytes(),
    );
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(server::serve(listener, hub.app.clone(), async {
        let _ = ended.await;
    }));
    let supervisor = hub.supervisor.clone();
    let booting = tokio::spawn(async move { supervisor.boot().await });
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    hub.live(&mut ends, &mut reloads).await;

    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping the modules"),
    ]);
    booting.abort();
    let stopping = hub.supervisor.shutdown();
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => {}
        () = ends.told() => {
            tracing::warn!("told twice: every module is killed");
            hub.supervisor.kill_all();
            let _ = timeout(Duration::from_secs(1), stopping).await;
        }
    }
    let _ = end.send(());
    let _ = timeout(Duration::from_secs(1), serving).await;
    hub.presence.leave();
    tracing::info!("stopped");
    out.finish(FLUSH);
    err.finish(FLUSH);
    Ok(Exit::Success)
}

fn console(stream: impl std::os::fd::AsFd) -> Result<Console> {
    rustix::io::fcntl_dupfd_cloexec(stream, 3)
        .map_err(std::io::Error::from)
        .and_then(|fd| Console::new(std::fs::File::from(fd)))
        .map_err(|e| {
            Error::new(
                Code::Io,
                format!("cannot write to the hub's own stream: {e}"),
            )
        })
}

/// Root serves somebody else's home as its owner, and for good: whoever keeps this process (a manager,
/// a terminal) has the hub itself, to be told by, to signal and to see end. Comes back only when there
/// is nothing to become, or when that fails.
fn as_owner(cx: &Context, home: &Home) -> Result<()> {
    match identity::owner(home.root()) {
        Ok(owner) if cx.uid == 0 && owner != 0 => Err(super::become_user(cx, home, owner)),
        _ => Ok(()),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}

/// Everything of one running hub but its listener.
struct Hub {
    app: Arc<App>,
    supervisor: Supervisor,
    keys: Arc<Keys>,
    origins: Arc<Origins>,
    presence: Presence,
    upkeep: Upkeep,
}

/// What the hub remembers of its last looks at its home.
struct Upkeep {
    /// When the token is looked at next, whatever happens.
    renew: Instant,
    /// What the files said of its origins when the token was looked at.
    origins: Arc<[String]>,
    /// It has been said that the key cannot be written.
    said: bool,
}

impl Hub {
    /// Makes ready what the routes need; no module is touched.
    fn begin(
        cx: &Context,
        home: Home,
        port: u16,
        lock: std::fs::File,
        console: Console,
    ) -> Result<Self> {
        let (key, said) = keys::load_or_make(&home)?;
        if let Some(said) = said {
            tracing::warn!("{said}");
        }
        let keys = Arc::new(Keys::new(home.clone(), key));
        let known = cx.var("PARACHUTE_HUB_ORIGIN").and_then(|v| v.to_str());
        let origins = Arc::new(Origins::new(home.clone(), port, known));
        let options = Options {
            port,
            env: cx.env.clone(),
            user_dir: cx.user_dir.clone(),
            exe: cx.exe.clone(),
            console,
        };
        let supervisor = Supervisor::new(home.clone(), options)?;
        let presence = Presence::begin(home.clone(), port, lock)?;
        let app = App::new(
            home,
            presence.nonce().to_owned(),
            Some(supervisor.clone()),
            keys.clone(),
            origins.clone(),
        );
        let upkeep = Upkeep {
            renew: Instant::now() + RENEW,
            origins: origins.files(),
            said: false,
        };
        let mut hub = Self {
            app: Arc::new(app),
            supervisor,
            keys,
            origins,
            presence,
            upkeep,
        };
        hub.token();
        Ok(hub)
    }

    /// Sees to it that the operator's token is one that this hub takes.
    fn token(&mut self) {
        self.upkeep.renew = Instant::now() + RENEW;
        self.upkeep.origins = self.origins.files();
        let (key, own) = (self.keys.current(), self.origins.own());
        // One of an origin that it has no more would not outlive this boot.
        let known = |origin: &str| self.origins.has(origin);
        match keys::ensure(&self.app.home, &key, &own, known, Timestamp::now()) {
            Ok(Kept::AsItWas) => {}
            Ok(Kept::Minted) => tracing::info!("minted an operator token"),
            Ok(Kept::Renewed) => tracing::info!("minted the operator token anew"),
            Ok(Kept::Replaced) => tracing::warn!(
                "the operator token was not of this hub's keys: it is kept as operator.token.old, and a new one is minted"
            ),
            Ok(Kept::Ended) => tracing::warn!(
                "the operator token was not of this hub's keys, and no hub's of other make: a new one is minted"
            ),
            Err(error) => tracing::error!("cannot mint an operator token: {error}"),
        }
    }

    /// Returns when the hub is told to end.
    async fn live(&mut self, ends: &mut Ends, reloads: &mut Signal) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let beat = sd_notify::watchdog_enabled().map(|bound| bound / 3);
        let mut beats = interval(beat.unwrap_or(RENEW).max(Duration::from_millis(1)));
        // Beside everything else: a reload lasts as long as what it stops takes to end.
        let mut reload = None;
        loop {
            tokio::select! {
                () = ends.told() => return,
                _ = reloads.recv(), if reload.is_none() => reload = Some(self.reload()),
                done = end_of(&mut reload) => {
                    reload = None;
                    self.reloaded(done);
                }
                _ = beats.tick(), if beat.is_some() => tell(&[NotifyState::Watchdog]),
                _ = looks.tick() => self.look(),
            }
        }
    }

    /// Sees to it that what clients and the next boot need of this hub is in its home.
    fn look(&mut self) {
        let seen = self.presence.look();
        if seen == Seen::Lost {
            return;
        }
        let kept = self.keys.keep();
        if let Err(error) = &kept
            && !self.upkeep.said
        {
            tracing::error!("cannot write the signing key anew: {error}");
        }
        self.upkeep.said = kept.is_err();
        let due = Instant::now() >= self.upkeep.renew;
        if due || seen == Seen::Anew || self.upkeep.origins != self.origins.files() {
            self.token();
        }
    }

    fn reload(&self) -> Reload {
        let mut state = vec![NotifyState::Reloading];
        state.extend(NotifyState::monotonic_usec_now());
        tell(&state);
        let supervisor = self.supervisor.clone();
        Box::pin(async move { supervisor.reload().await })
    }

    fn reloaded(&mut self, done: Result<Reloaded>) {
        if let Err(error) = done {
            tracing::error!("the registry is kept as it was: {error}");
        }
        self.token();
        tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    }
}

/// The registry is being read again.
type Reload = Pin<Box<dyn Future<Output = Result<Reloaded>>>>;

/// The end of a reload; never, where there is none.
async fn end_of(reload: &mut Option<Reload>) -> Result<Reloaded> {
    match reload {
        Some(reload) => reload.await,
        None => std::future::pending().await,
    }
}

/// What tells a hub to end, caught from before anything is started.
struct Ends {
    term: Signal,
    int: Signal,
}

impl Ends {
    fn new() -> Result<Self> {
        Ok(Self {
            term: catch(SignalKind::terminate())?,
            int: catch(SignalKind::interrupt())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

fn catch(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|e| Error::new(Code::Io, format!("cannot catch signals: {e}")))
}

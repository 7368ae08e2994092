//! Keeps modules running: one task owns one child and does one thing at a time; others ask through
//! the [`Supervisor`] handle. Knows no HTTP and no unit.

mod child;
pub mod console;
pub mod guardian;
pub mod log;
mod module;
mod notify;
pub mod phase;
mod ports;
mod prepare;
mod pump;
mod ready;
mod reaper;
mod rows;
mod snapshots;
mod strays;
mod task;
mod views;
mod whole;

use self::{
    console::Console,
    guardian::{Groups, Guardian},
    module::Module,
    phase::{GRACE, Phase, READINESS},
    ports::Ports,
    pump::Buffer,
    reaper::{Exit, Reaper},
    rows::Rows,
    snapshots::Snapshots,
    task::{Message, Task},
};
use crate::{
    api::ModuleState,
    error::{Code, Error, Result},
    home::Home,
    modules::{
        launch::{self, Spawner},
        registry::Row,
    },
    os::{group::Claim, identity, process, spawn, subreaper::become_subreaper},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Longer than readiness, so that an unready module has its `started_but_unbound` by then.
const START_BOUND: Duration = Duration::from_millis(READINESS.as_millis() as u64 + 400);
/// A stop to its bound, and a start after it.
const RESTART_BOUND: Duration =
    Duration::from_millis((GRACE.as_millis() + READINESS.as_millis()) as u64 + 800);
/// Longer than a stop can take.
const STOP_BOUND: Duration = Duration::from_secs(15);

/// What a supervisor is made with.
pub struct Options {
    /// The hub's port, which modules may need for their origin.
    pub port: u16,
    /// The environment that modules start from.
    pub env: BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    /// The user's own folder.
    pub user_dir: Option<PathBuf>,
    /// This program, run again as guardian.
    pub exe: PathBuf,
    /// The hub's own stream.
    pub console: Console,
}

/// What an operation cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpError {
    /// No row has that name.
    NotInstalled,
    /// Nothing says how to start it.
    NoStartCommand(String),
    /// It has not been started in this life of the hub.
    NotSupervised,
    /// Anything else, for people.
    Failed(String),
}

/// What all tasks share.
struct Shared {
    home: Home,
    owner: u32,
    boot: Option<String>,
    spawner: Spawner,
    console: Console,
    reaper: Arc<Reaper>,
    ports: Arc<Ports>,
    snapshots: Snapshots,
    groups: Groups,
    guardian: Guardian,
    buffer: Buffer,
    sockets: Option<notify::Folder>,
    rows: Rows,
    modules: Mutex<BTreeMap<String, Arc<Module>>>,
    /// Held by the reload under way.
    reloading: tokio::sync::Mutex<()>,
    closing: AtomicBool,
    version: AtomicU64,
}

impl Shared {
    fn modules(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Module>>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the owner of this home may claim without a module's own marks.
    fn claim(&self) -> Claim {
        Claim {
            owner: self.owner,
            home: Some(self.home.root().to_owned()),
            ..Claim::default()
        }
    }

    /// The row of a process as the registry has it now; an error when that cannot be read.
    fn row(&self, short: &str) -> Result<Option<Row>> {
        let registry = self.rows.now(&self.home)?;
        Ok(registry.find(short).cloned())
    }

    /// A module is no more.
    fn forget(&self, module: &Arc<Module>) {
        let mut modules = self.modules();
        if modules
            .get(&module.short)
            .is_some_and(|known| Arc::ptr_eq(known, module))
        {
            modules.remove(&module.short);
        }
        drop(modules);
        self.changed();
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// A handle to the running supervisor; cheap to clone.
#[derive(Clone)]
pub struct Supervisor(Arc<Shared>);

impl Supervisor {
    /// A supervisor without modules yet. Must be called on the runtime of the thread that lives as
    /// long as the hub: modules die with the thread that spawned them. From now on this process
    /// reaps all its children.
    pub fn new(home: Home, options: Options) -> Result<Self> {
        spawn::keep_files();
        spawn::raise_file_limit();
        become_subreaper();
        let reaper = Reaper::begin().map_err(|error| {
            let why = crate::error::reason(&error);
            Error::new(Code::Io, format!("cannot wait for child processes: {why}"))
        })?;
        let groups = Groups::default();
        let guardian = Guardian::keep(options.exe, reaper.clone(), groups.clone());
        let text = |name: &str| options.env.get(&std::ffi::OsString::from(name)).cloned();
        let places = [
            text("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some(std::env::temp_dir()),
        ];
        let sockets = notify::Folder::begin(home.root(), places.into_iter().flatten());
        let owner = identity::owner(home.root()).unwrap_or_else(|_| identity::euid());
        Ok(Self(Arc::new(Shared {
            owner,
            boot: process::boot_id().ok(),
            spawner: Spawner {
                env: options.env,
                user_dir: options.user_dir,
                hub_port: Some(options.port),
                notify_socket: None,
            },
            console: options.console,
            ports: Ports::begin(),
            snapshots: Snapshots::default(),
            reaper,
            groups,
            guardian,
            buffer: Buffer::default(),
            sockets,
            rows: Rows::default(),
            modules: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            closing: AtomicBool::new(false),
            version: AtomicU64::new(0),
            home,
        })))
    }

    fn command(&self, row: &Row) -> Result<()> {
        let inputs = launch::gather(&self.0.home, row, &self.0.spawner)?;
        launch::command(row, inputs.manifest.as_ref()).map(|_| ())
    }

    /// The module of a row; from now on it is supervised.
    fn module(&self, row: &Row) -> Arc<Module> {
        let mut modules = self.0.modules();
        if let Some(module) = modules.get(row.short()) {
            return module.clone();
        }
        let (mailbox, messages) = mpsc::unbounded_channel();
        let module = Arc::new(Module::new(row.short(), mailbox));
        modules.insert(row.short().to_owned(), module.clone());
        drop(modules);
        Task::begin(self.0.clone(), module.clone(), messages, row.clone());
        self.0.changed();
        module
    }

    /// The supervised module that a name means: of a view, the one whose process it is.
    fn supervised(&self, name: &str) -> Option<Arc<Module>> {
        let short = match self.0.rows.now(&self.0.home) {
            Ok(registry) => registry
                .find(name)
                .map(|row| registry.process_of(row).short().to_owned()),
            Err(_) => None,
        };
        let modules = self.0.modules();
        modules
            .get(short.as_deref().unwrap_or(name))
            .or_else(|| modules.get(name))
            .cloned()
    }

    /// Starts a module, or finds it running; the state it has come to when it is ready, has failed, or
    /// after the readiness window.
    pub async fn start(&self, name: &str) -> Result<ModuleState, OpError> {
        self.open()?;
        let registry = self.0.rows.now(&self.0.home);
        let row = match &registry {
            Ok(registry) => registry.find(name).map(|row| registry.process_of(row)),
            Err(_) => None,
        };
        let module = match (row, self.supervised(name), &registry) {
            (None, _, Ok(_)) => return Err(OpError::NotInstalled),
            (_, Some(module), _) if matches!(module.phase(), Phase::Running { .. }) => {
                return Ok(module.state());
            }
            (Some(row), _, _) => {
                if let Err(Error {
                    code: Code::NoStartCommand,
                    message,
                    ..
                }) = self.command(row)
                {
                    return Err(OpError::NoStartCommand(message));
                }
                self.module(row)
            }
            (None, Some(module), Err(_)) => module,
            (None, None, Err(error)) => return Err(OpError::Failed(error.to_string())),
        };
        Ok(ask(&module, Message::Start, START_BOUND).await)
    }

    /// Stops a module; `None` when it is not supervised.
    pub async fn stop(&self, name: &str) -> Result<Option<ModuleState>, OpError> {
        match self.supervised(name) {
            Some(module) => Ok(Some(ask(&module, Message::Stop, STOP_BOUND).await)),
            None => Ok(None),
        }
    }

    /// Stops a module and starts it anew.
    pub async fn restart(&self, name: &str) -> Result<ModuleState, OpError> {
        self.open()?;
        if matches!(self.0.row(name), Ok(None)) {
            return Err(OpError::NotInstalled);
        }
        match self.supervised(name) {
            Some(module) => Ok(ask(&module, Message::Restart, RESTART_BOUND).await),
            None => Err(OpError::NotSupervised),
        }
    }

    fn open(&self) -> Result<(), OpError> {
        match self.0.is_closing() {
            true => Err(OpError::Failed("the hub is stopping".into())),
            false => Ok(()),
        }
    }
}

/// Asks a module; its state at the bound when there is no answer by then.
async fn ask(
    module: &Module,
    message: impl FnOnce(oneshot::Sender<ModuleState>) -> Message,
    bound: Duration,
) -> ModuleState {
    let (answer, answered) = oneshot::channel();
    let _ = module.mailbox.send(message(answer));
    match timeout(bound, answered).await {
        Ok(Ok(state)) => state,
        _ => module.state(),
    }
}

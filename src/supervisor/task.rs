//! One task owns one child: it takes what is asked and what is seen, lets [`Phase`] decide, and carries
//! out one operation at a time. Nobody else spawns, ends or judges this module.

use super::{
    Shared,
    child::{Child, Left},
    module::{Facts, Module},
    phase::{Crashes, DELAY, Effect, Event, Phase, READINESS},
    prepare::{self, Prepared},
    pump::Sink,
    ready::{self, Ready},
    reaper::{Exit, exited},
};
use crate::{
    api::{ModuleState, StartError, StartErrorType, Time},
    modules::registry::{self, Row},
    os::{
        port::{self, Holder, Listeners},
        process,
    },
};
use std::{future::Future, pin::Pin, sync::Arc, time::Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// What can be asked of a module; the answer is the state it has come to.
#[derive(Debug)]
pub(super) enum Message {
    /// Run; answered when it is ready, or has failed, or is unready for too long.
    Start(oneshot::Sender<ModuleState>),
    /// Run anew; answered likewise.
    Restart(oneshot::Sender<ModuleState>),
    /// Do not run; answered when its group is empty.
    Stop(oneshot::Sender<ModuleState>),
    /// Do not run, and be no more.
    Remove(oneshot::Sender<ModuleState>),
}

/// The outcome of the operation under way.
enum Done {
    Prepared(Box<Result<Prepared, StartError>>),
    Looked(Exit, Option<Left>),
    Emptied,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Wake {
    Exit(Exit),
    Done(Done),
    Ready(Ready),
    Outlived,
    Message(Option<Message>),
    Deadline,
}

/// See the head of this file.
pub(super) struct Task {
    shared: Arc<Shared>,
    module: Arc<Module>,
    sink: Arc<Sink>,
    mailbox: mpsc::UnboundedReceiver<Message>,
    row: Row,
    phase: Phase,
    crashes: Crashes,
    child: Option<Arc<Child>>,
    exit: Option<watch::Receiver<Option<Exit>>>,
    work: Option<Work<Done>>,
    ready: Option<Work<Ready>>,
    outlive: Option<Work<()>>,
    deadline: Option<Instant>,
    last_exit: Option<Exit>,
    starts: Vec<oneshot::Sender<ModuleState>>,
    stops: Vec<oneshot::Sender<ModuleState>>,
    removing: bool,
}

/// The outcome of a slot's future, which is empty afterwards; never when it is empty now.
async fn slot<T>(slot: &mut Option<Work<T>>) -> T {
    let done = match slot {
        Some(work) => work.await,
        None => std::future::pending().await,
    };
    *slot = None;
    done
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

impl Task {
    /// Begins the life of a module's task; it ends when the module is removed.
    pub(super) fn begin(
        shared: Arc<Shared>,
        module: Arc<Module>,
        mailbox: mpsc::UnboundedReceiver<Message>,
        row: Row,
    ) {
        let sink = Sink::new(
            &shared.home,
            &module.short,
            module.log.clone(),
            shared.console.clone(),
        );
        let task = Self {
            shared,
            module,
            sink: Arc::new(sink),
            mailbox,
            row,
            phase: Phase::Stopped,
            crashes: Crashes::default(),
            child: None,
            exit: None,
            work: None,
            ready: None,
            outlive: None,
            deadline: None,
            last_exit: None,
            starts: Vec::new(),
            stops: Vec::new(),
            removing: false,
        };
        tokio::spawn(task.run());
    }

    async fn run(mut self) {
        loop {
            let wake = tokio::select! {
                biased;
                exit = exited(&mut self.exit) => Wake::Exit(exit),
                done = slot(&mut self.work) => Wake::Done(done),
                ready = slot(&mut self.ready) => Wake::Ready(ready),
                () = slot(&mut self.outlive) => Wake::Outlived,
                message = self.mailbox.recv() => Wake::Message(message),
                () = until(self.deadline) => Wake::Deadline,
            };
            match wake {
                Wake::Exit(exit) => self.leader_gone(exit),
                Wake::Done(Done::Prepared(prepared)) => self.spawn(*prepared),
                Wake::Done(Done::Looked(exit, left)) => self.looked(exit, left),
                Wake::Done(Done::Emptied) => self.emptied(),
                Wake::Ready(how) => self.is_ready(how),
                Wake::Outlived => self.member_gone(),
                Wake::Message(Some(message)) => self.asked(message),
                Wake::Message(None) => return,
                Wake::Deadline => self.deadline_passed(),
            }
            if self.removing && self.phase == Phase::Stopped {
                self.module.log.close();
                return;
            }
        }
    }

    /// Lets the phase decide and carries out what it says.
    fn apply(&mut self, event: Event) {
        let (phase, effect) = self.phase.on(event, &mut self.crashes, Instant::now());
        self.phase = phase;
        match effect {
            Effect::Nothing => {}
            Effect::Spawn => self.prepare(),
            Effect::End => self.end(),
            Effect::Delay => {
                let from = self.last_exit.map_or_else(Instant::now, |exit| exit.at);
                self.deadline = Some(from + DELAY);
            }
        }
        self.publish();
        if phase.settled() {
            self.answer_starts();
        }
        if phase == Phase::Stopped {
            self.answer_stops();
        }
    }

    fn asked(&mut self, message: Message) {
        if self.shared.is_closing()
            && let Message::Start(answer) | Message::Restart(answer) = message
        {
            let _ = answer.send(self.module.state());
            return;
        }
        match message {
            Message::Start(answer) => {
                self.starts.push(answer);
                self.apply(Event::Start);
            }
            Message::Restart(answer) => {
                self.starts.push(answer);
                self.apply(Event::Restart);
            }
            Message::Stop(answer) => {
                self.stops.push(answer);
                self.apply(Event::Stop);
            }
            Message::Remove(answer) => {
                self.removing = true;
                self.stops.push(answer);
                self.apply(Event::Stop);
            }
        }
    }

    /// Begins a spawn: everything is read anew.
    fn prepare(&mut self) {
        self.deadline = None;
        self.module.log.set_idle(false);
        if let Some(row) = self.shared.row(&self.module.short) {
            self.row = row;
        }
        let (shared, row) = (self.shared.clone(), self.row.clone());
        self.work = Some(Box::pin(async move {
            Done::Prepared(Box::new(prepare::prepare(shared, row).await))
        }));
    }

    fn spawn(&mut self, prepared: Result<Prepared, StartError>) {
        let spawned =
            prepared.and_then(|prepared| Child::spawn(&self.shared, prepared, self.sink.clone()));
        match spawned {
            Ok(child) => {
                let child = Arc::new(child);
                tracing::info!(
                    module = self.module.short,
                    pid = child.record.pid,
                    "spawned"
                );
                self.row = child.row.clone();
                self.last_exit = None;
                self.deadline = Some(child.born + READINESS);
                self.exit = Some(child.exit.clone());
                self.ready = Some(Box::pin(ready::watch(self.shared.clone(), child.clone())));
                self.facts(|facts| {
                    facts.pid = Some(child.record.pid);
                    facts.started_at = Some(child.since);
                });
                self.child = Some(child);
                self.publish();
            }
            Err(error) => {
                tracing::error!(module = self.module.short, kind = ?error.error_type,
                    "not started: {}", one_line(&error));
                self.last_exit = None;
                self.facts(|facts| facts.start_error = Some(error));
                self.apply(Event::NotSpawned);
                self.rest_if_settled();
            }
        }
    }

    fn is_ready(&mut self, how: Ready) {
        if !matches!(
            self.phase,
            Phase::Starting { .. } | Phase::Running { unbound: true }
        ) {
            return;
        }
        self.deadline = None;
        self.facts(|facts| facts.start_error = None);
        let short = &self.module.short;
        let port = self.row.port;
        match how {
            Ready::Bound => tracing::info!(module = short, port, "ready: it listens"),
            Ready::Said => tracing::info!(module = short, port, "ready: it said so"),
            Ready::Answers => tracing::warn!(
                module = short,
                port,
                "ready: its health path answers, but who holds its port cannot be looked up"
            ),
        }
        if self.row.last_start_error.is_some() {
            let (home, name) = (self.shared.home.clone(), self.row.name.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) = registry::set_start_error(&home, &name, None) {
                    tracing::warn!(%error, "cannot clear an old start error");
                }
            });
        }
        self.apply(Event::Ready);
        if self.outlive.take().is_some() {
            // Who of the group speaks for it is known only now.
            self.look();
        }
    }

    fn deadline_passed(&mut self) {
        self.deadline = None;
        match self.phase {
            Phase::Starting { .. } => {
                let error = self.unready();
                tracing::warn!(module = self.module.short, "{}", one_line(&error));
                self.facts(|facts| facts.start_error = Some(error));
                self.apply(Event::Late);
            }
            Phase::Waiting => self.apply(Event::Due),
            _ => {}
        }
    }

    /// Why a live module is not ready.
    fn unready(&self) -> StartError {
        let port = self.row.port;
        let held = Listeners::read().map(|listeners| port::holder(port, &listeners));
        if let Ok(Holder::Process { pid }) = held {
            return prepare::squatter(&self.row, Some(pid), &process::command_line(pid));
        }
        StartError::new(
            StartErrorType::StartedButUnbound,
            format!(
                "{} runs, but nothing of it listens on port {port} after {} s",
                self.module.short,
                READINESS.as_secs()
            ),
        )
    }

    /// The process that was spawned has ended. What its group is now worth is looked at first, unless
    /// the group is being ended anyway.
    fn leader_gone(&mut self, exit: Exit) {
        self.exit = None;
        self.last_exit = Some(exit);
        self.facts(|facts| {
            facts.pid = None;
            facts.last_exit_code = Some(exit.code);
        });
        self.look();
        self.publish();
    }

    /// One of a group without its leader has ended: the same question again.
    fn member_gone(&mut self) {
        if let Some(exit) = &mut self.last_exit {
            exit.at = Instant::now();
        }
        self.facts(|facts| {
            let there = facts.pid.and_then(|pid| process::look(pid).ok().flatten());
            facts.pid = there
                .filter(|process| !process.zombie)
                .map(|process| process.pid);
        });
        self.look();
        self.publish();
    }

    /// Looks at what is left of its group, unless that is being ended anyway.
    fn look(&mut self) {
        if let (Phase::Starting { .. } | Phase::Running { .. }, Some(child), Some(exit)) =
            (self.phase, self.child.clone(), self.last_exit)
        {
            let was_ready = self.phase == Phase::Running { unbound: false };
            self.work = Some(Box::pin(async move {
                Done::Looked(exit, child.look_after(was_ready, exit.code).await)
            }));
        }
    }

    fn looked(&mut self, exit: Exit, left: Option<Left>) {
        let (Some(Left { pid, members }), Some(child)) = (left, self.child.clone()) else {
            self.last_exit = Some(exit);
            self.ended();
            return;
        };
        tracing::info!(
            module = self.module.short,
            pid,
            "the process that was spawned has ended; its group carries on"
        );
        self.facts(|facts| facts.pid = Some(pid));
        self.outlive = Some(Box::pin(child.outlive(members)));
        self.publish();
    }

    /// It has ended unasked, all of it.
    fn ended(&mut self) {
        let early = self.phase != Phase::Running { unbound: false };
        self.ready = None;
        self.outlive = None;
        self.child = None;
        let short = &self.module.short;
        let how = match self.last_exit {
            Some(Exit { code, .. }) if code > 128 => format!("was ended by signal {}", code - 128),
            Some(Exit { code, .. }) => format!("ended with exit code {code}"),
            None => "ended".to_owned(),
        };
        tracing::warn!(module = short, "it {how}, unasked");
        let error = early.then(|| {
            let mut text = format!("{short} {how} before it was ready");
            for line in self.module.last_lines(3) {
                text.push_str("\n  ");
                text.push_str(&line);
            }
            StartError::new(StartErrorType::ExitedEarly, text)
        });
        self.facts(|facts| {
            facts.pid = None;
            facts.last_crash_at = Some(Time::now());
            if error.is_some() {
                facts.start_error = error;
            }
        });
        self.apply(Event::Exited);
        if self.phase == Phase::Crashed {
            tracing::error!(
                module = self.module.short,
                "crashed too often; it stays down until it is started"
            );
        }
        self.rest_if_settled();
    }

    /// Ends whatever lives of it.
    fn end(&mut self) {
        self.ready = None;
        self.outlive = None;
        self.deadline = None;
        let child = self.child.clone();
        self.work = Some(Box::pin(async move {
            if let Some(child) = child {
                child.end().await;
            }
            Done::Emptied
        }));
    }

    fn emptied(&mut self) {
        if let Some(child) = self.child.take() {
            tracing::info!(
                module = self.module.short,
                pid = child.record.pid,
                "stopped"
            );
            // Seen by now, but its wake may still be waiting for its turn.
            if let Some(exit) = *child.exit.borrow() {
                self.facts(|facts| facts.last_exit_code = Some(exit.code));
            }
        }
        self.exit = None;
        self.facts(|facts| {
            facts.pid = None;
            facts.started_at = None;
            facts.start_error = None;
        });
        // Who asked for the stop is told of it, even when a start is next in turn.
        self.facts(|facts| facts.phase = Phase::Stopped);
        self.answer_stops();
        self.apply(Event::Emptied);
        self.rest_if_settled();
    }

    fn rest_if_settled(&mut self) {
        if matches!(self.phase, Phase::Stopped | Phase::Crashed) {
            self.sink.rest();
            self.module.log.set_idle(true);
        }
    }

    fn answer_starts(&mut self) {
        let state = self.module.state();
        for answer in self.starts.drain(..) {
            let _ = answer.send(state.clone());
        }
    }

    fn answer_stops(&mut self) {
        let state = self.module.state();
        for answer in self.stops.drain(..) {
            let _ = answer.send(state.clone());
        }
    }

    fn facts(&self, change: impl FnOnce(&mut Facts)) {
        self.module.change(change);
    }

    fn publish(&self) {
        let (phase, crashes) = (self.phase, self.crashes.clone());
        self.facts(|facts| {
            facts.phase = phase;
            facts.crashes = crashes;
        });
        self.shared.changed();
    }
}

/// Its description as a log line has it.
fn one_line(error: &StartError) -> String {
    error.error_description.trim_end().replace('\n', "; ")
}

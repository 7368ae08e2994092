//! One task owns one child: it takes what is asked and what is seen, lets [`Phase`] decide, and carries
//! out one operation at a time. Nobody else spawns, ends or judges this module.

mod seen;

use super::{
    Shared,
    child::{Child, Left},
    module::{Facts, Module},
    phase::{Crashes, DELAY, Effect, Event, Phase},
    prepare::{self, Prepared},
    pump::Sink,
    ready::Ready,
    reaper::{Exit, exited},
};
use crate::{
    api::{ModuleState, StartError},
    modules::registry::Row,
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
    Unlisted,
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
    /// Where its log was when that was spawned.
    begun: u64,
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
            begun: 0,
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
                Wake::Done(Done::Unlisted) => self.unlisted(),
                Wake::Done(Done::Looked(exit, left)) => self.looked(exit, left),
                Wake::Done(Done::Emptied) => self.emptied(),
                Wake::Ready(how) => self.is_ready(how),
                Wake::Outlived => self.member_gone(),
                Wake::Message(Some(message)) => self.asked(message),
                Wake::Message(None) => return,
                Wake::Deadline => self.deadline_passed(),
            }
            // What was asked meanwhile has its turn first: the row may be back.
            if self.removing && self.phase == Phase::Stopped && self.mailbox.is_empty() {
                self.module.log.close();
                self.shared.forget(&self.module);
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
                self.removing = false;
                self.starts.push(answer);
                self.apply(Event::Start);
            }
            Message::Restart(answer) => {
                self.removing = false;
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
        match self.shared.row(&self.module.short) {
            Ok(Some(row)) => self.row = row,
            Ok(None) => {
                self.work = Some(Box::pin(async { Done::Unlisted }));
                return;
            }
            // As it was, as long as nobody can tell.
            Err(_) => {}
        }
        let (shared, row) = (self.shared.clone(), self.row.clone());
        self.work = Some(Box::pin(async move {
            Done::Prepared(Box::new(prepare::prepare(shared, row).await))
        }));
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

//! Knows both trees and what they last agreed on, plans rounds, and sees them through.

use super::bulk::Bulk;
use super::commands::PAUSED;
use super::early::KnownChunks;
use super::fitting::Clash;
use super::flushing::refuse;
use super::guard::Guard;
use super::keeping::Saving;
use super::life::LifeId;
use super::link::{Link, connect};
use super::message::{Ask, Tell, Ticket};
use super::names::Rules;
use super::opening::open_here;
use super::outgoing::Outgoing;
use super::path::TreePath;
use super::patterns::Patterns;
use super::queue::Queue;
use super::reconcile::{PerSide, Side, Step};
use super::session::{Opener, SessionStart};
use super::store::Journal;
use super::tree::{Hash, Node};
use super::unsettled::Unsettled;
use super::worker::Work;
use crate::model::sync::{SyncChoice, SyncStatus};
use crate::model::{Failure, Result};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Tells of the replica in this process that wait for the controller.
const TELLS_WAITING: usize = 64;
/// Waits between tries to connect.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(200);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A root that is gone is looked for this often.
pub(super) const LOOK_FOR_ROOT: Duration = Duration::from_secs(2);
/// After so long without work, what was written goes to disk.
const QUIET: Duration = Duration::from_secs(2);

/// What a session is told.
pub enum Command {
    Flush(oneshot::Sender<Result<()>>),
    Status(oneshot::Sender<SyncStatus>),
    Pause,
    Resume,
    Reset,
    Resolve { choice: SyncChoice, pattern: String, reply: oneshot::Sender<Result<u64>> },
    Undo(oneshot::Sender<Result<u64>>),
    Stop,
}

/// What the controller knows of one side.
pub(super) struct Known {
    pub(super) tree: Node,
    /// Told all, and nothing lost since.
    pub(super) ready: bool,
    /// What is being told since the last `Scan`.
    pub(super) incoming: Option<Node>,
    pub(super) lost: Option<String>,
    pub(super) settled: bool,
    /// What its file system makes of names.
    pub(super) rules: Rules,
    /// At least so many entries have been told since they were last counted.
    pub(super) entries: u64,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            tree: Node::folder(),
            ready: false,
            incoming: None,
            lost: None,
            settled: true,
            rules: Rules::default(),
            entries: 0,
        }
    }
}

/// A step under way.
pub(super) struct Flight {
    pub(super) to: Side,
    pub(super) step: Step,
    /// Counted against what may be in flight.
    pub(super) bytes: u64,
    /// The receiver has it in hand; before that, the content is being fetched.
    pub(super) doing: bool,
    /// It is done on one side only: nothing is agreed by it.
    pub(super) alone: bool,
}

/// A path that could not be done, and when it is tried again.
pub(super) struct Stalled {
    pub(super) times: u32,
    pub(super) until: Instant,
    pub(super) reason: Option<String>,
}

pub(super) struct Flush {
    /// Who has not said yet that all is told, and the question, if it was put.
    pub(super) waiting: Vec<(Side, Option<Ticket>)>,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<()>>,
}

pub struct Controller {
    pub(super) start: SessionStart,
    open: Opener,
    pub(super) patterns: Patterns,
    pub(super) base: Node,
    pub(super) here: Known,
    pub(super) there: Known,
    /// The digest that was asked for last, and of which tree: they are mostly one in memory, and asked for in a row.
    pub(super) digested: Option<(Node, Hash)>,
    pub(super) far_replica: Option<[u8; 16]>,
    pub(super) root_inode: Option<u64>,
    /// Of each side, as of the last time that both were compared.
    pub(super) lives: PerSide<Option<LifeId>>,
    /// Of each side, as it says now.
    pub(super) told_lives: PerSide<Option<LifeId>>,
    pub(super) unsettled: Unsettled,
    pub(super) worker: Option<JoinHandle<()>>,
    pub(super) asks_here: Option<std::sync::mpsc::Sender<Work>>,
    pub(super) link: Option<Link>,
    pub(super) connecting: Option<JoinHandle<Result<Link>>>,
    pub(super) journal: Journal,
    pub(super) unsaved: bool,
    pub(super) saving: Option<Saving>,
    /// So many paths were agreed on since equal folders were last made one in memory.
    pub(super) unshared: usize,
    pub(super) queue: Queue,
    /// What each side is going to be told to do, and the content that has to come before.
    pub(super) outgoing: PerSide<Outgoing>,
    pub(super) large: VecDeque<(Side, Step)>,
    /// What waits until all before it is done, phase by phase.
    pub(super) later: VecDeque<Queue>,
    /// What changed last goes first.
    pub(super) recent: HashSet<TreePath>,
    /// Content that the receiver of a step has under another name.
    pub(super) moved: HashMap<(Side, TreePath), TreePath>,
    /// Steps whose content the receiver turned out not to have.
    pub(super) not_own: HashSet<TreePath>,
    pub(super) flights: HashMap<Ticket, Flight>,
    /// Paths with steps under way, and how many.
    pub(super) busy: HashMap<(Side, TreePath), u32>,
    pub(super) bulk: HashMap<Ticket, Bulk>,
    pub(super) known_chunks: KnownChunks,
    pub(super) flight_bytes: u64,
    pub(super) stalled: HashMap<(Side, TreePath), Stalled>,
    pub(super) last_ticket: Ticket,
    pub(super) replan: bool,
    /// The last plan was made while steps were under way.
    pub(super) stale: bool,
    pub(super) conflicts: Vec<TreePath>,
    /// What cannot be made on a side because of its name.
    pub(super) clashes: Vec<(Side, Clash)>,
    pub(super) paused: bool,
    pub(super) guard: Guard,
    pub(super) notes: Vec<String>,
    pub(super) flushes: Vec<Flush>,
    pub(super) undoing: HashMap<Ticket, oneshot::Sender<Result<u64>>>,
    pub(super) wait: Duration,
    pub(super) retry_at: Option<Instant>,
    pub(super) look_at: Option<Instant>,
    quiet_at: Option<Instant>,
    /// When the first of the stalled is tried again.
    pub(super) again_at: Option<Instant>,
    pub(super) changed_at: Option<Instant>,
    pub(super) last_latency: Option<Duration>,
    pub(super) first_done: bool,
    pub(super) announced: Option<u64>,
}

enum Happened {
    Command(Option<Command>),
    Here(Option<Tell>),
    There(Option<Tell>),
    Connected(Result<Link>),
    Saved(Result<()>),
    /// The work on this side broke off.
    Stopped,
    Time,
}

impl Controller {
    /// Runs a session to its end.
    pub async fn run(start: SessionStart, open: Opener, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (tells, mut told) = mpsc::channel(TELLS_WAITING);
        let mut controller = match Controller::load(start, open, &tells) {
            Ok(controller) => controller,
            Err(failure) => return refuse(failure, commands).await,
        };
        loop {
            let happened = controller.next(&mut commands, &mut told).await;
            if !controller.take(happened, &tells) {
                break;
            }
            // What is there already is taken in before planning.
            while let Ok(tell) = told.try_recv() {
                controller.hear(Side::Here, tell);
            }
            while let Some(Ok(tell)) = controller.link.as_mut().map(|link| link.tells.try_recv()) {
                controller.hear(Side::There, tell);
            }
            controller.work();
        }
        if let Some(saving) = controller.saving.take() {
            let _ = saving.task.await;
        }
        controller.save();
        drop(told);
        if let Some(asks) = controller.asks_here.take() {
            let _ = asks.send(Work::End);
        }
        if let Some(worker) = controller.worker.take() {
            let _ = worker.await;
        }
    }

    fn load(start: SessionStart, open: Opener, tells: &mpsc::Sender<Tell>) -> Result<Controller> {
        crate::sys::fs::make_folder(&start.state)?;
        let patterns = Patterns::new(&start.ignore)?;
        let (journal, agreements) = Journal::open(&start.state.join("journal"))?;
        // Both sides can get ready while what is kept is read.
        let connecting = Some(dial(&open, &start));
        let opened = open_here(&start, tells);
        let paused = start.state.join(PAUSED).exists();
        let mut controller = Controller {
            start,
            open,
            patterns,
            base: Node::folder(),
            here: Known::default(),
            there: Known::default(),
            digested: None,
            far_replica: None,
            root_inode: None,
            lives: PerSide::default(),
            told_lives: PerSide::default(),
            unsettled: Unsettled::default(),
            worker: None,
            asks_here: None,
            link: None,
            connecting,
            journal,
            unsaved: false,
            saving: None,
            unshared: 0,
            queue: Queue::default(),
            outgoing: PerSide::default(),
            large: VecDeque::new(),
            later: VecDeque::new(),
            recent: HashSet::new(),
            moved: HashMap::new(),
            not_own: HashSet::new(),
            flights: HashMap::new(),
            busy: HashMap::new(),
            bulk: HashMap::new(),
            known_chunks: KnownChunks::default(),
            flight_bytes: 0,
            stalled: HashMap::new(),
            last_ticket: 0,
            replan: false,
            stale: false,
            conflicts: Vec::new(),
            clashes: Vec::new(),
            paused,
            guard: Guard::default(),
            notes: Vec::new(),
            flushes: Vec::new(),
            undoing: HashMap::new(),
            wait: FIRST_WAIT,
            retry_at: None,
            look_at: None,
            quiet_at: None,
            again_at: None,
            changed_at: None,
            last_latency: None,
            first_done: false,
            announced: None,
        };
        controller.recall(agreements);
        controller.opened(opened);
        Ok(controller)
    }

    async fn next(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        told: &mut mpsc::Receiver<Tell>,
    ) -> Happened {
        let times = [self.retry_at, self.look_at, self.quiet_at, self.again_at];
        let next_time = times.into_iter().flatten().min();
        let (link, connecting, worker) = (&mut self.link, &mut self.connecting, &mut self.worker);
        let saving = &mut self.saving;
        tokio::select! {
            command = commands.recv() => Happened::Command(command),
            tell = told.recv() => Happened::Here(tell),
            tell = async { match link { Some(link) => link.tells.recv().await, None => std::future::pending().await } } => {
                Happened::There(tell)
            }
            link = async { match connecting { Some(task) => task.await, None => std::future::pending().await } } => {
                Happened::Connected(link.unwrap_or_else(|error| Err(Failure::because("cannot connect", error))))
            }
            saved = async { match saving { Some(saving) => (&mut saving.task).await, None => std::future::pending().await } } => {
                Happened::Saved(saved.unwrap_or_else(|error| Err(Failure::because("writing broke off", error))))
            }
            _ = async { match worker { Some(task) => task.await, None => std::future::pending().await } } => {
                Happened::Stopped
            }
            () = async { match next_time { Some(time) => tokio::time::sleep_until(time).await, None => std::future::pending().await } } => {
                Happened::Time
            }
        }
    }

    /// Returns whether to go on.
    fn take(&mut self, happened: Happened, tells: &mpsc::Sender<Tell>) -> bool {
        match happened {
            Happened::Command(None | Some(Command::Stop)) => return false,
            Happened::Command(Some(command)) => self.command(command),
            Happened::Here(tell) => tell.into_iter().for_each(|tell| self.hear(Side::Here, tell)),
            Happened::There(Some(tell)) => self.hear(Side::There, tell),
            Happened::There(None) => self.lose_link(),
            Happened::Connected(result) => self.connected(result),
            Happened::Saved(result) => self.saved_aside(result),
            Happened::Stopped => self.lose_here(),
            Happened::Time => self.on_time(tells),
        }
        true
    }

    fn on_time(&mut self, tells: &mpsc::Sender<Tell>) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|time| time <= now) {
            self.retry_at = None;
            self.connecting = Some(dial(&self.open, &self.start));
        }
        if self.look_at.is_some_and(|time| time <= now) {
            self.look_at = None;
            match self.asks_here {
                None => self.opened(open_here(&self.start, tells)),
                Some(_) => self.rescan_lost(Side::Here),
            }
            self.rescan_lost(Side::There);
        }
        if self.quiet_at.is_some_and(|time| time <= now) {
            self.quiet_at = None;
            self.guard.calm();
            self.settle();
        }
        if self.again_at.is_some_and(|time| time <= now) {
            self.again_at = None;
            self.replan = true;
        }
    }

    fn rescan_lost(&mut self, side: Side) {
        let connected = side == Side::Here || self.link.is_some();
        if connected && self.known(side).lost.is_some() {
            self.scan(side);
        }
    }

    pub(super) fn known(&mut self, side: Side) -> &mut Known {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }

    pub(super) fn ask(&mut self, side: Side, ask: Ask) {
        // A side that is gone is noticed where its tells end.
        match side {
            Side::Here => drop(self.asks_here.as_ref().map(|asks| asks.send(Work::Ask(ask)))),
            Side::There => drop(self.link.as_ref().map(|link| link.asks.send(ask))),
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Ends a flight, whatever became of it.
    pub(super) fn land(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.flights.remove(&ticket)?;
        self.flight_bytes -= flight.bytes;
        if let Entry::Occupied(mut steps) = self.busy.entry((flight.to, flight.step.path.clone())) {
            *steps.get_mut() -= 1;
            if *steps.get() == 0 {
                steps.remove();
            }
        }
        Some(flight)
    }

    fn work(&mut self) {
        let may = self.here.ready && self.there.ready && !self.paused && self.guard.held().is_none();
        if may && self.replan {
            self.mend_torn();
            self.plan();
        }
        if may && self.guard.held().is_none() {
            self.issue();
        }
        // A plan made while steps were under way did not know how they would end.
        if may && self.stale && self.backlog() == 0 && self.guard.held().is_none() {
            self.plan();
            self.issue();
        }
        self.finish_flushes();
        if self.is_idle() {
            self.recent.clear();
            self.not_own.clear();
            if let Some(changed) = self.changed_at.take() {
                self.last_latency = Some(changed.elapsed());
            }
            if !std::mem::replace(&mut self.first_done, true) {
                self.unsaved = true;
            }
            self.tell_progress(true);
            let unsettled = !self.here.settled || !self.there.settled || self.unsaved;
            if unsettled && self.quiet_at.is_none() {
                self.quiet_at = Some(Instant::now() + QUIET);
            }
        } else {
            self.quiet_at = None;
            self.tell_progress(false);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        let nothing_to_do = self.backlog() == 0 && !self.replan && !self.stale;
        let nothing_waits = self.stalled.values().all(|stalled| stalled.reason.is_some());
        self.here.ready && self.there.ready && nothing_to_do && nothing_waits
    }

    pub(super) fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }
}

fn dial(open: &Opener, start: &SessionStart) -> JoinHandle<Result<Link>> {
    let (open, ignore) = (open.clone(), start.ignore.clone());
    tokio::spawn(async move { connect(open().await?, ignore).await })
}

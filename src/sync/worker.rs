//! The thread that a replica works in: takes what is asked, in order, and tells.

use super::background::Background;
use super::content::{open_at, read_piece};
use super::lanes::{Lanes, Tells};
use super::life::Life;
use super::message::{Ask, Body, Order, Outcome, Tell, Ticket};
use super::path::{Blob, TreePath};
use super::replica::{Replica, digest};
use super::settling::recall;
use super::stage::Growing;
use super::tree::{Change, Hash, Leaf, Node, Now, differences, each_difference};
use super::watch::Watch;
use crate::model::Result;
use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Changes told in one message.
const BATCH_BYTES: usize = 1 << 18;
/// What a change takes beside its path.
const CHANGE_BYTES: usize = 64;

/// A tree that cannot be watched, or not all of it, is read this often.
const READ_UNWATCHED: Duration = Duration::from_secs(10);
/// A tree that is watched is read this often all the same when it is quiet.
const READ_WATCHED: Duration = Duration::from_secs(300);
/// While git holds its lock a change of many files is not told in halves, but for no longer than this.
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// How often git's lock is looked for meanwhile.
const HOLD_STEP: Duration = Duration::from_millis(10);

/// What wakes the thread.
pub enum Work {
    Ask(Ask),
    /// Something changed in the tree.
    Touched,
    /// What was changed before this time (nanoseconds since 1970) is on disk, or why not.
    OnDisk {
        ticket: Ticket,
        nanoseconds: i64,
        error: Option<io::Error>,
    },
    /// Nobody asks any more.
    End,
}

/// Ends the work when it is dropped.
pub struct EndsWork(pub mpsc::Sender<Work>);

impl Drop for EndsWork {
    fn drop(&mut self) {
        let _ = self.0.send(Work::End);
    }
}

/// The work of one replica.
pub struct Worker {
    pub(super) replica: Replica,
    pub(super) watch: Option<Watch>,
    /// The tree was told, so changes are told too.
    telling: bool,
    held_since: Option<Instant>,
    read_at: Instant,
    tells: Tells,
    pub(super) lanes: Lanes,
    pub(super) background: Background,
    pub(super) growing: HashMap<Ticket, Growing>,
    /// Why a large file could not be written, until it is asked what became of it.
    pub(super) unwritten: HashMap<Ticket, String>,
    /// Something was written since the last `Settle`.
    pub(super) dirty: bool,
    /// What was read or written is not kept yet for the next start.
    pub(super) unsaved: bool,
    pub(super) life: Life,
    /// Held by who writes down what was read.
    pub(super) saving: Arc<Mutex<()>>,
    pub(super) wake: mpsc::Sender<Work>,
    /// All that changed before is on disk; nanoseconds since 1970.
    pub(super) on_disk_nanoseconds: i64,
}

/// Whoever listened is gone.
pub struct Gone;

pub type Told = std::result::Result<(), Gone>;

impl Worker {
    /// Prepares the work; the tree as it was last read is loaded. `wake` sends `Work::Touched`.
    pub fn new(mut replica: Replica, life: Life, tells: impl Into<Tells>, wake: mpsc::Sender<Work>) -> Worker {
        let on_disk_nanoseconds = recall(&mut replica, &life);
        let touch = wake.clone();
        let watch = Watch::start(&replica.root_path, &replica.signs, move || drop(touch.send(Work::Touched)));
        if let Err(error) = &watch {
            replica.note(&format!("changes are looked for every 10 seconds only: {error}"));
        }
        Worker {
            replica,
            watch: watch.ok(),
            telling: false,
            held_since: None,
            read_at: Instant::now() + READ_UNWATCHED,
            tells: tells.into(),
            lanes: Lanes::default(),
            background: Background::default(),
            growing: HashMap::new(),
            unwritten: HashMap::new(),
            dirty: false,
            unsaved: on_disk_nanoseconds == 0,
            life,
            saving: Arc::default(),
            wake,
            on_disk_nanoseconds,
        }
    }

    /// Works until nobody asks any more, or nobody listens.
    pub fn run(mut self, work: Receiver<Work>) {
        loop {
            let wait = self.next_time().saturating_duration_since(Instant::now());
            let is_at_work = !self.lanes.is_empty() || self.background.is_at_work();
            match work.recv_timeout(if is_at_work { Duration::ZERO } else { wait }) {
                Ok(work) => self.lanes.put(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            work.try_iter().for_each(|work| self.lanes.put(work));
            let went = match self.lanes.first() {
                Some(Work::Ask(ask)) => self.answer(ask),
                Some(Work::Touched) => Ok(()),
                Some(Work::OnDisk { ticket, nanoseconds, error }) => self.on_disk(ticket, nanoseconds, error),
                Some(Work::End) => break,
                None => self.bulk().and_then(|()| self.slice()),
            };
            if went.and_then(|()| self.look_around()).is_err() {
                break;
            }
        }
        self.end();
    }

    fn next_time(&self) -> Instant {
        let due = self.watch.as_ref().and_then(Watch::due).filter(|_| self.telling);
        let held = due.map(|due| if self.held_since.is_some() { due.max(Instant::now() + HOLD_STEP) } else { due });
        held.into_iter().chain(self.read_due()).fold(self.read_at, Instant::min)
    }

    /// Tells what changed, when it is time.
    fn look_around(&mut self) -> Told {
        if !self.telling {
            return Ok(());
        }
        let now = Instant::now();
        if self.read_at <= now {
            return self.rescan();
        }
        if self.watch.as_ref().and_then(Watch::due).is_none_or(|due| due > now) {
            return Ok(());
        }
        if self.replica.is_git_busy() && *self.held_since.get_or_insert(now) + LONGEST_HOLD > now {
            return Ok(());
        }
        self.held_since = None;
        self.look_at_dirty()
    }

    fn look_at_dirty(&mut self) -> Told {
        let Some(dirty) = self.watch.as_ref().map(Watch::take) else { return self.rescan() };
        if dirty.lost {
            return self.rescan();
        }
        let mut changes = Vec::new();
        let mut covered: Option<TreePath> = None;
        self.replica.forget_near();
        for (path, whole) in dirty.paths {
            if covered.as_ref().is_some_and(|above| path.is_within(above)) {
                continue;
            }
            if path.is_root() {
                if !self.replica.is_root_there() {
                    return self.lost_root();
                }
                continue;
            }
            let watch = self.watch.as_ref();
            let on_folder = |path: &TreePath| watch.iter().for_each(|watch| watch.add(path));
            if self.replica.refresh(&path, whole, &on_folder, &mut changes).is_err() {
                // What was seen until now is known here, so it has to be told.
                self.tell_changes(changes)?;
                return self.rescan();
            }
            covered = whole.then_some(path).or(covered);
        }
        self.replica.forget_near();
        self.tell_changes(changes)
    }

    pub(super) fn is_telling(&self) -> bool {
        self.telling
    }

    /// Git is at work: what it does is told when it has done.
    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    pub(super) fn lost_root(&mut self) -> Told {
        if !self.replica.state.exists() {
            // All that was known of it went with it: whoever opens the tree next begins anew.
            return Err(Gone);
        }
        self.telling = false;
        self.stop_reading()?;
        let reason = format!("{} is gone, or is not the folder it was", self.replica.root_path.display());
        self.tell(Tell::Lost { reason })
    }

    pub(super) fn tell(&mut self, tell: Tell) -> Told {
        self.tells.tell(tell)
    }

    pub(super) fn answer(&mut self, ask: Ask) -> Told {
        match ask {
            Ask::Scan { known } => self.scan(known),
            Ask::Read(files) => self.read(files),
            Ask::ReadPiece { ticket, path, offset, length } => {
                let data = read_piece(&mut self.replica, &path, offset, length).map(Blob);
                self.tell(Tell::Piece { ticket, data })
            }
            Ask::Do(orders) => self.obey(orders, false),
            Ask::Begin { ticket, hash, size_bytes, own } => {
                let is_growing = self.growing.values().any(|growing| *growing.hash() == hash);
                let beside = is_growing || self.background.is_filling(&hash);
                self.replica.forget_near();
                match self.replica.begin(hash, size_bytes, own.as_ref(), beside) {
                    Ok(filling) => {
                        self.background.fill(ticket, filling);
                        Ok(())
                    }
                    // What follows fails with the reason.
                    Err(error) => {
                        self.unwritten.insert(ticket, error.to_string());
                        self.tell(Tell::Begun { ticket, have: 0 })
                    }
                }
            }
            Ask::Piece { ticket, data } => self.grow(ticket, |_, growing| growing.add(&data.0)),
            Ask::Copy { ticket, path, offset, length } => {
                self.grow(ticket, |replica, growing| growing.copy(&mut open_at(replica, &path, offset)?, length))
            }
            Ask::Cut { ticket, path, size_bytes, average_bytes } => self.cut(ticket, &path, size_bytes, average_bytes),
            Ask::Abandon { ticket, keep } => {
                self.unwritten.remove(&ticket);
                self.abandon(ticket, keep);
                Ok(())
            }
            Ask::Barrier { ticket } => {
                match self.watch.as_mut().is_some_and(|watch| !watch.is_limited() && watch.catch_up()) {
                    true => self.look_at_dirty()?,
                    false => self.rescan()?,
                }
                self.answer_when_read(ticket)
            }
            Ask::Settle { ticket } => self.settle(ticket),
            Ask::Undo { ticket } => {
                let undone = self.replica.undo().map_err(|error| error.to_string());
                self.rescan()?;
                self.tell(Tell::Undone { ticket, undone })
            }
        }
    }

    fn scan(&mut self, known: Hash) -> Told {
        if !self.replica.is_root_there() {
            return self.lost_root();
        }
        // All of it is told now, so that all of it has to be known.
        self.telling = false;
        self.background.forget_withheld();
        if let Err(failure) = self.read_all() {
            return self.tell(Tell::Lost { reason: failure.chain().join(": ") });
        }
        // It may have gone, and been deleted, while it was read.
        if !self.replica.is_root_there() {
            return self.lost_root();
        }
        self.telling = true;
        self.note_unread();
        let digest = digest(self.replica.tree());
        let whole = digest != known;
        if whole {
            self.tell_tree()?;
        }
        self.tell_notes()?;
        self.tell(Tell::Scanned { whole, digest })
    }

    /// Reads all of the tree and returns what it was before.
    fn read_all(&mut self) -> Result<Node> {
        let watch = self.watch.as_ref();
        watch.map(Watch::take);
        // The first time all of it has to be known; later a large file counts as what it was until it is read.
        self.replica.unread.defers = self.telling;
        let before = self.replica.scan(&|path| watch.iter().for_each(|watch| watch.add(path)))?;
        self.replica.unread.defers = true;
        self.unsaved |= !before.is_shared_with(self.replica.tree());
        let watched = watch.is_some_and(|watch| !watch.is_limited());
        if watch.is_some_and(Watch::is_limited) {
            self.replica.note("the kernel watches no more folders: what is in the others is seen within 10 seconds; raise fs.inotify.max_user_watches (sysctl)");
        }
        self.read_at = Instant::now() + if watched { READ_WATCHED } else { READ_UNWATCHED };
        Ok(before)
    }

    fn rescan(&mut self) -> Told {
        if !self.replica.is_root_there() {
            return self.lost_root();
        }
        match self.read_all() {
            Ok(before) => {
                let mut changes = Vec::new();
                differences(&TreePath::root(), Some(&before), Some(self.replica.tree()), &mut changes);
                self.tell_changes(changes)
            }
            Err(failure) => self.tell(Tell::Lost { reason: failure.chain().join(": ") }),
        }
    }

    fn tell_notes(&mut self) -> Told {
        for note in std::mem::take(&mut self.replica.notes) {
            self.tell(Tell::Note(note))?;
        }
        Ok(())
    }

    pub(super) fn tell_all(&mut self, changes: Vec<Change>) -> Told {
        let mut batches = Batches::new(&self.tells);
        changes.into_iter().for_each(|change| batches.add(change));
        batches.end()
    }

    /// Tells all of the tree.
    fn tell_tree(&mut self) -> Told {
        let mut batches = Batches::new(&self.tells);
        let (nothing, tree) = (Node::folder(), self.replica.tree());
        each_difference(&TreePath::root(), Some(&nothing), Some(tree), &mut |change| batches.add(change));
        batches.end()
    }

    /// Looks at a path again, and tells what is different.
    pub(super) fn tell_refreshed(&mut self, path: &TreePath) -> Told {
        let mut changes = Vec::new();
        let watch = self.watch.as_ref();
        let on_folder = |path: &TreePath| watch.iter().for_each(|watch| watch.add(path));
        self.replica.listed = None;
        // What cannot be read now is told when it is scanned.
        let _ = self.replica.refresh(path, true, &on_folder, &mut changes);
        self.tell_changes(changes)
    }

    /// Tells what is at these paths, whether or not it is what was told before: whoever asked thought otherwise.
    pub(super) fn look_again(&mut self, paths: &[TreePath]) -> Told {
        let mut changes = Vec::new();
        let watch = self.watch.as_ref();
        let on_folder = |path: &TreePath| watch.iter().for_each(|watch| watch.add(path));
        self.replica.listed = None;
        for path in outermost(paths) {
            // What cannot be read now is told when it is scanned.
            let _ = self.replica.refresh(path, true, &on_folder, &mut changes);
            match self.replica.tree().get(path) {
                None => changes.push(Change { path: path.clone(), now: Now::Gone }),
                now => differences(path, None, now, &mut changes),
            }
        }
        self.tell_changes(changes)
    }

    /// Does orders. `at_once`: whatever has to be read for them was read.
    pub(super) fn obey(&mut self, orders: Vec<Order>, at_once: bool) -> Told {
        let (mut done, mut not_done) = (Vec::with_capacity(orders.len()), Vec::new());
        let mut odd = Vec::new();
        self.replica.forget_near();
        self.unsaved = true;
        if !std::mem::replace(&mut self.dirty, true)
            && let Err(failure) = self.life.work()
        {
            self.replica.note(&failure.chain().join(": "));
        }
        let orders = if at_once { orders } else { self.hold_back(orders) };
        self.give_way_to(&orders)?;
        let mut rest = orders.as_slice();
        while let Some(first) = rest.first() {
            let outcomes = match self.replica.put_together(rest) {
                Some(outcomes) => outcomes,
                None => vec![self.obey_one(first)],
            };
            let (these, behind) = rest.split_at(outcomes.len());
            rest = behind;
            for (order, outcome) in these.iter().zip(outcomes) {
                if matches!(outcome, Outcome::Done | Outcome::Stays) {
                    if order.new == Some(Leaf::Folder)
                        && let Some(watch) = &self.watch
                    {
                        watch.add(&order.path);
                    }
                    done.push((order.ticket, outcome));
                } else {
                    odd.push(order.path.clone());
                    not_done.push((order.ticket, outcome));
                }
            }
        }
        self.replica.forget_near();
        // In this order: what is told of a path is never older than what was told before.
        self.tell(Tell::Outcomes(done))?;
        self.look_again(&odd)?;
        self.tell_notes()?;
        if not_done.is_empty() { Ok(()) } else { self.tell(Tell::Outcomes(not_done)) }
    }

    fn obey_one(&mut self, order: &Order) -> Outcome {
        let ticket = order.ticket;
        let staged = match order.body {
            Body::Staged => self.growing.remove(&ticket).and_then(|growing| self.replica.finish(&growing)),
            _ => None,
        };
        match self.unwritten.remove(&ticket) {
            Some(reason) => Outcome::Failed(reason),
            None => self.replica.obey(order, staged),
        }
    }
}

/// Tells changes, many in a message.
struct Batches<'a> {
    tells: &'a Tells,
    batch: Vec<Change>,
    bytes: usize,
    told: Told,
}

impl<'a> Batches<'a> {
    fn new(tells: &'a Tells) -> Batches<'a> {
        Batches { tells, batch: Vec::new(), bytes: 0, told: Ok(()) }
    }

    fn add(&mut self, change: Change) {
        self.bytes += CHANGE_BYTES + change.path.as_bytes().len();
        if let Now::Leaf(Leaf::Link(target)) = &change.now {
            self.bytes += target.0.len();
        }
        self.batch.push(change);
        if self.bytes > BATCH_BYTES && self.told.is_ok() {
            self.told = self.tells.tell(Tell::Changes(std::mem::take(&mut self.batch)));
            self.bytes = 0;
        }
    }

    fn end(self) -> Told {
        self.told?;
        if self.batch.is_empty() { Ok(()) } else { self.tells.tell(Tell::Changes(self.batch)) }
    }
}

/// Those of the paths that are not below another of them, sorted.
fn outermost(paths: &[TreePath]) -> Vec<&TreePath> {
    let mut sorted: Vec<&TreePath> = paths.iter().collect();
    sorted.sort_unstable();
    sorted.dedup_by(|later, kept| later.is_within(kept));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_of_nested_paths_are_looked_at() {
        let paths: Vec<TreePath> = ["a/b/c", "x", "a/b", "a-b", "x", "a/c"].map(TreePath::from).into();
        let names: Vec<String> = outermost(&paths).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a/b", "a/c", "a-b", "x"]);
    }
}

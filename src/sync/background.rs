//! What takes long in a replica's thread, a slice at a time: large files that are read, cut, or taken up again where they
//! were left; and who waits for that.

use super::apply::is_as_stamped;
use super::chunks::{CUT_FROM_BYTES, Cutting, average_bytes};
use super::content::open_at;
use super::lists::Lists;
use super::message::{Ask, Body, Order, Tell, Ticket};
use super::path::TreePath;
use super::reading::{Reading, SLICED_FROM_BYTES, Slice};
use super::stage::Filling;
use super::tree::{Apart, Change, Hash, Leaf, Node, Now, Stamp};
use super::unread::Unread;
use super::withheld::Withheld;
use super::worker::{Told, Worker};
use crate::sys::folder::Facts;
use std::collections::{BTreeSet, VecDeque};
use std::sync::PoisonError;
use std::time::Instant;

/// The work of a replica's thread beside what it is asked and hears of.
#[derive(Default)]
pub struct Background {
    unread: Unread,
    /// Files whose chunks were asked for.
    cutting: VecDeque<(Ticket, Cutting)>,
    /// Chunks of files that were cut when they were read.
    lists: Lists,
    /// Large files that are going to come, being looked at for what is there already.
    filling: VecDeque<(Ticket, Filling)>,
    /// Questions that are answered when these files have been read.
    barriers: Vec<(Ticket, BTreeSet<TreePath>)>,
    /// Orders for files that have to be read before, each with those that came after it and depend on it.
    held: Vec<(TreePath, Vec<Order>)>,
    withheld: Withheld,
}

impl Background {
    /// Whether there is something to do at once.
    pub fn is_at_work(&self) -> bool {
        !self.cutting.is_empty() || !self.filling.is_empty()
    }

    /// All of the tree is told anew.
    pub fn forget_withheld(&mut self) {
        self.withheld.clear();
    }

    pub fn fill(&mut self, ticket: Ticket, filling: Filling) {
        self.filling.push_back((ticket, filling));
    }

    pub fn is_filling(&self, hash: &Hash) -> bool {
        self.filling.iter().any(|(_, filling)| filling.growing().hash() == hash)
    }

    /// Drops what was begun for a file that will not be finished now.
    pub fn abandon(&mut self, ticket: Ticket) -> Option<Filling> {
        self.cutting.retain(|(cut, _)| *cut != ticket);
        let at = self.filling.iter().position(|(filled, _)| *filled == ticket)?;
        self.filling.remove(at).map(|(_, filling)| filling)
    }
}

impl Worker {
    /// Takes over what was found to be large, and to be read. Returns what is new of it.
    pub(super) fn note_unread(&mut self) -> Vec<TreePath> {
        let found = &mut self.replica.unread.paths;
        let found = std::mem::take(found.get_mut().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        found.iter().for_each(|path| self.background.unread.add(path.clone(), now));
        found.into_iter().filter(|path| self.replica.tree().get(path).is_none()).collect()
    }

    /// Tells what changed, apart from what had better be told together with large files that were found with it.
    pub(super) fn tell_changes(&mut self, changes: Vec<Change>) -> Told {
        // A tree that was moved away and then deleted: nobody deleted what was in it.
        if changes.iter().any(|change| change.now == Now::Gone) && !self.replica.is_root_there() {
            return self.lost_root();
        }
        let found = self.note_unread();
        let Background { unread, withheld, .. } = &mut self.background;
        let changes = withheld.sift(changes, &found, unread.paths());
        self.tell_all(changes)
    }

    /// Tells what is withheld of the paths of these orders, before they are done: told later, it would be taken for news.
    pub(super) fn give_way_to(&mut self, orders: &[Order]) -> Told {
        let paths = orders.iter().flat_map(|order| {
            let from = if let Body::Renamed(from) = &order.body { Some(from) } else { None };
            from.into_iter().chain([&order.path])
        });
        let changes = self.background.withheld.give_way(paths);
        self.tell_all(changes)
    }

    /// Does a slice of each kind of work there is.
    pub(super) fn slice(&mut self) -> Told {
        self.cut_slice()?;
        self.fill_slice()?;
        if self.may_read() { self.read_slice() } else { Ok(()) }
    }

    /// Files are read when the tree was told, and not while git changes them, unless somebody waits.
    fn may_read(&self) -> bool {
        self.is_telling() && !(self.is_held() && self.background.barriers.is_empty())
    }

    /// When to read on.
    pub(super) fn read_due(&self) -> Option<Instant> {
        self.background.unread.due().filter(|_| self.may_read())
    }

    /// Begins to tell of which chunks a file consists, or tells it at once if that is known.
    pub(super) fn cut(&mut self, ticket: Ticket, path: &TreePath, size_bytes: u64, average_bytes: u32) -> Told {
        let known = match self.replica.tree().get(path) {
            Some(Node::File(file, _)) if file.size_bytes == size_bytes => {
                self.background.lists.get(&file.hash, average_bytes)
            }
            _ => None,
        };
        if let Some(chunks) = known {
            return self.tell(Tell::Chunks { ticket, chunks: Some(chunks.to_vec()), last: true });
        }
        match open_at(&mut self.replica, path, 0) {
            Ok(file) => {
                self.background.cutting.push_back((ticket, Cutting::new(file, size_bytes, average_bytes)));
                Ok(())
            }
            Err(_) => self.tell(Tell::Chunks { ticket, chunks: None, last: true }),
        }
    }

    fn cut_slice(&mut self) -> Told {
        let Some((ticket, cutting)) = self.background.cutting.front_mut() else { return Ok(()) };
        let ticket = *ticket;
        let (chunks, last) = match cutting.next() {
            Ok((chunks, last)) => (Some(chunks), last),
            Err(_) => (None, true),
        };
        if last {
            self.background.cutting.pop_front();
        } else if chunks.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        self.tell(Tell::Chunks { ticket, chunks, last })
    }

    fn fill_slice(&mut self) -> Told {
        let Some((_, filling)) = self.background.filling.front_mut() else { return Ok(()) };
        let filled = filling.next();
        if let Ok(false) = filled {
            return Ok(());
        }
        let Some((ticket, filling)) = self.background.filling.pop_front() else { return Ok(()) };
        self.filled(ticket, filling, filled.err())
    }

    /// Reads on in the file that is being read, or begins with the next.
    fn read_slice(&mut self) -> Told {
        let now = Instant::now();
        let Some((path, mut reading, began)) = self.background.unread.current.take() else {
            return self.begin_to_read(now);
        };
        let patient = self.background.unread.is_patient(&path, now);
        match reading.next(patient) {
            Ok(Slice::More) => {
                self.background.unread.current = Some((path, reading, began));
                Ok(())
            }
            Ok(Slice::Whole(node)) => {
                let sure = matches!(node, Node::File(_, Stamp { changed_nanoseconds: 1.., .. }));
                self.background.unread.done(&path, began, now, sure);
                self.keep_chunks(&node, &mut reading);
                self.take_read(&path, node, reading.facts())
            }
            Ok(Slice::Grown(node)) => {
                self.background.unread.grown(&path, began, now);
                self.leave_to_rest(&path);
                self.keep_chunks(&node, &mut reading);
                self.take_read(&path, node, reading.facts())
            }
            Ok(Slice::Moving) => {
                let in_vain = self.background.unread.moving(&path, now);
                self.leave_to_rest(&path);
                if in_vain { self.take_unreadable(&path, Apart::Busy) } else { self.release(&path, Vec::new()) }
            }
            Err(_) => {
                self.background.unread.done(&path, began, now, true);
                self.take_unreadable(&path, Apart::Unreadable)
            }
        }
    }

    fn begin_to_read(&mut self, now: Instant) -> Told {
        let watch = self.watch.as_ref();
        let Some(path) = self.background.unread.next(now, |path| watch.and_then(|watch| watch.touched(path))) else {
            return Ok(());
        };
        // What is written to it from now on has to be heard of.
        watch.iter().for_each(|watch| watch.end_rest(&path));
        self.replica.forget_near();
        match self.replica.open_unread(&path).map(|file| file.map(Reading::new)) {
            Ok(Some(Ok(mut reading))) => {
                let size_bytes = if self.replaces_large(&path) { reading.cut() } else { None };
                self.background.unread.current = Some((path.clone(), reading, now));
                size_bytes.map_or(Ok(()), |size_bytes| self.tell(Tell::Reading { path, size_bytes }))
            }
            Err(_) => {
                self.background.unread.done(&path, now, now, true);
                self.take_unreadable(&path, Apart::Unreadable)
            }
            Ok(_) => {
                self.background.unread.done(&path, now, now, true);
                self.tell_refreshed(&path)?;
                self.was_looked_at(&path, Vec::new())
            }
        }
    }

    /// Whether of what is at a path now only that is going to be sent which the other side does not have.
    fn replaces_large(&self, path: &TreePath) -> bool {
        matches!(self.replica.tree().get(path), Some(Node::File(old, _)) if old.size_bytes >= CUT_FROM_BYTES)
    }

    fn keep_chunks(&mut self, node: &Node, reading: &mut Reading) {
        if let (Node::File(file, _), Some(chunks)) = (node, reading.take_chunks()) {
            self.background.lists.keep(file.hash, average_bytes(file.size_bytes), chunks);
        }
    }

    fn leave_to_rest(&self, path: &TreePath) {
        self.watch.iter().for_each(|watch| watch.rest(path));
    }

    fn take_read(&mut self, path: &TreePath, node: Node, facts: &Facts) -> Told {
        let mut changes = Vec::new();
        self.unsaved = true;
        self.replica.forget_near();
        if !self.replica.was_read(path, node, facts, &mut changes) {
            self.tell_refreshed(path)?;
        }
        self.was_looked_at(path, changes)
    }

    fn take_unreadable(&mut self, path: &TreePath, why: Apart) -> Told {
        let mut changes = Vec::new();
        self.replica.was_not_read(path, why, &mut changes);
        self.was_looked_at(path, changes)
    }

    /// Tells what was held back for a file, and what came of it.
    fn release(&mut self, path: &TreePath, changes: Vec<Change>) -> Told {
        // Other names of it may have to be read too.
        self.note_unread();
        let changes = self.background.withheld.looked_at(path, changes);
        self.tell_all(changes)
    }

    /// Answers whoever waited for a file.
    fn was_looked_at(&mut self, path: &TreePath, changes: Vec<Change>) -> Told {
        self.release(path, changes)?;
        for (_, paths) in &mut self.background.barriers {
            paths.remove(path);
        }
        while let Some(at) = self.background.held.iter().position(|(held, _)| held == path) {
            let (_, orders) = self.background.held.remove(at);
            self.obey(orders, true)?;
        }
        while let Some(at) = self.background.barriers.iter().position(|(_, paths)| paths.is_empty()) {
            let (ticket, _) = self.background.barriers.remove(at);
            self.tell(Tell::Barrier { ticket })?;
        }
        Ok(())
    }

    /// Answers when all large files that changed until now have been read.
    pub(super) fn answer_when_read(&mut self, ticket: Ticket) -> Told {
        let paths: BTreeSet<TreePath> = self.background.unread.paths().cloned().collect();
        if paths.is_empty() || !self.is_telling() {
            return self.tell(Tell::Barrier { ticket });
        }
        paths.iter().for_each(|path| self.background.unread.urge(path));
        self.background.barriers.push((ticket, paths));
        Ok(())
    }

    /// Nothing is read any more until the tree is asked for again: whoever waits is answered.
    pub(super) fn stop_reading(&mut self) -> Told {
        for path in self.background.unread.paths() {
            self.watch.iter().for_each(|watch| watch.end_rest(path));
        }
        self.background.unread.clear();
        self.background.withheld.clear();
        for (_, orders) in std::mem::take(&mut self.background.held) {
            self.obey(orders, true)?;
        }
        for (ticket, _) in std::mem::take(&mut self.background.barriers) {
            self.tell(Tell::Barrier { ticket })?;
        }
        Ok(())
    }

    /// Parts with the orders that have to wait: a large file that does not look as it did when it was read would have to
    /// be read at once to see what is replaced. It is read in slices before, and what depends on it comes after it.
    pub(super) fn hold_back(&mut self, orders: Vec<Order>) -> Vec<Order> {
        let (mut now, mut held): (Vec<Order>, Vec<(TreePath, Vec<Order>)>) = (Vec::new(), Vec::new());
        for order in orders {
            let depends =
                |(path, _): &&mut (TreePath, Vec<Order>)| order.path.is_within(path) || path.is_within(&order.path);
            if let Some((_, orders)) = held.iter_mut().find(depends) {
                orders.push(order);
            } else if self.has_to_be_read(&order) {
                held.push((order.path.clone(), vec![order]));
            } else {
                now.push(order);
            }
        }
        for (path, orders) in held {
            self.background.unread.add(path.clone(), Instant::now());
            self.background.unread.urge(&path);
            self.background.held.push((path, orders));
        }
        now
    }

    fn has_to_be_read(&mut self, order: &Order) -> bool {
        let is_large = matches!(&order.old, Some(Leaf::File(old)) if old.size_bytes >= SLICED_FROM_BYTES);
        if !is_large || !self.is_telling() {
            return false;
        }
        let Some(known @ Node::File(..)) = self.replica.tree().get(&order.path).cloned() else { return false };
        let Some((parent, name)) = order.path.split() else { return false };
        self.replica.walk(&parent).is_ok_and(|parent| !is_as_stamped(&parent, name, &known))
    }

    /// Drops what waits for a file that will not be finished now.
    pub(super) fn abandon(&mut self, ticket: Ticket, keep: bool) {
        self.lanes.abandon(ticket);
        let filling = self.background.abandon(ticket).map(Filling::end);
        if let Some(growing) = self.growing.remove(&ticket).or(filling)
            && !keep
        {
            self.replica.discard(&growing);
        }
    }

    /// Does a part of a large file that was asked for.
    pub(super) fn bulk(&mut self) -> Told {
        self.lanes.bulk().map_or(Ok(()), |ask: Ask| self.answer(ask))
    }
}

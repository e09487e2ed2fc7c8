//! What large files consist of, as both sides tell it. What is known already nobody is asked for, and while the sender
//! still reads the new version the receiver is asked for the old one.

use super::chunks::{CUT_FROM_BYTES, Chunk, average_bytes};
use super::controller::Controller;
use super::delta::List;
use super::lists::{Lists, MOST_CHUNKS};
use super::message::{Ask, Ticket};
use super::path::TreePath;
use super::reconcile::{Side, Step};
use super::tree::{File, Hash, Leaf, Node};
use crate::model::sync::SyncDirection;
use std::collections::HashMap;

/// Files that are cut early at a time.
const MOST_EARLY: usize = 2;

/// Of which chunks large files consist.
#[derive(Default)]
pub(super) struct KnownChunks {
    lists: Lists,
    /// Files that are cut before it is known what will replace them.
    early: HashMap<Ticket, Early>,
}

struct Early {
    side: Side,
    hash: Hash,
    average_bytes: u32,
    list: List,
    /// What waits for it by now.
    bulk: Option<Ticket>,
}

impl KnownChunks {
    /// Nothing that was asked of a side is answered any more.
    pub(super) fn lose(&mut self, side: Side) {
        self.early.retain(|_, early| early.side != side);
    }
}

impl Controller {
    /// A side has begun to read a large file: what the other has in its place will be asked for soon.
    pub(super) fn cut_early(&mut self, side: Side, path: TreePath, size_bytes: u64) {
        let goes_over = side == Side::Here || self.start.mode == SyncDirection::TwoWay;
        let may = self.here.ready && self.there.ready && !self.paused && self.guard.held().is_none();
        let (side, average_bytes) = (side.other(), average_bytes(size_bytes));
        let Some(Node::File(old, _)) = self.known(side).tree.get(&path) else { return };
        let File { hash, size_bytes: old_bytes, .. } = *old;
        let is_known = self.known_chunks.lists.get(&hash, average_bytes).is_some()
            || self.known_chunks.early.values().any(|early| early.side == side && early.hash == hash);
        // Chunks may have a quarter of the average: of this many the list is kept for certain.
        let is_short = old_bytes / u64::from(average_bytes) <= MOST_CHUNKS as u64 / 4;
        let pays = size_bytes.min(old_bytes) >= CUT_FROM_BYTES && is_short && !is_known;
        if goes_over && may && pays && self.known_chunks.early.len() < MOST_EARLY {
            let ticket = self.ticket();
            let list = List::new(old_bytes);
            self.known_chunks.early.insert(ticket, Early { side, hash, average_bytes, list, bulk: None });
            self.ask(side, Ask::Cut { ticket, path, size_bytes: old_bytes, average_bytes });
        }
    }

    /// Finds out what the file consists of that a large one is going to replace.
    pub(super) fn find_old_chunks(&mut self, ticket: Ticket, to: Side, path: TreePath, old: &File, average_bytes: u32) {
        let is_it = |early: &&mut Early| {
            (early.side, early.hash, early.average_bytes) == (to, old.hash, average_bytes) && early.bulk.is_none()
        };
        if let Some(chunks) = self.known_chunks.lists.get(&old.hash, average_bytes) {
            self.bulk_chunks(to, ticket, Some(&chunks), true);
        } else if let Some(early) = self.known_chunks.early.values_mut().find(is_it) {
            early.bulk = Some(ticket);
            let chunks = early.list.chunks().to_vec();
            self.bulk_chunks(to, ticket, Some(&chunks), false);
        } else {
            self.ask(to, Ask::Cut { ticket, path, size_bytes: old.size_bytes, average_bytes });
        }
    }

    /// One of both sides tells of what its file consists; `None`: it cannot be read.
    pub(super) fn chunks(&mut self, side: Side, ticket: Ticket, chunks: Option<Vec<Chunk>>, last: bool) {
        let Some(early) = self.known_chunks.early.get_mut(&ticket).filter(|early| early.side == side) else {
            return self.bulk_chunks(side, ticket, chunks.as_deref(), last);
        };
        let Early { list, average_bytes, bulk, .. } = early;
        let taken = chunks.filter(|chunks| list.take(chunks, last, *average_bytes).is_ok());
        let (bulk, last) = (*bulk, last || taken.is_none());
        if last && let Some(early) = self.known_chunks.early.remove(&ticket).filter(|_| taken.is_some()) {
            self.known_chunks.lists.keep(early.hash, early.average_bytes, early.list.chunks());
        }
        if let Some(bulk) = bulk {
            self.bulk_chunks(side, bulk, taken.as_deref(), last);
        }
    }

    fn bulk_chunks(&mut self, side: Side, ticket: Ticket, chunks: Option<&[Chunk]>, last: bool) {
        let (Some(bulk), Some(flight)) = (self.bulk.get_mut(&ticket), self.flights.get(&ticket)) else { return };
        let (Some(delta), average_bytes) = (&mut bulk.delta, average_bytes(bulk.size_bytes)) else { return };
        let is_old = side == bulk.to;
        let taken = match chunks {
            Some(chunks) if is_old => delta.add_old(chunks, last, average_bytes).is_ok(),
            Some(chunks) => delta.add_new(chunks, last, average_bytes).is_ok(),
            None => false,
        };
        if !taken {
            bulk.delta = None;
        } else if let Some(chunks) = delta.whole(is_old).filter(|_| last)
            && let Some(Leaf::File(file)) = if is_old { &flight.step.old } else { &flight.step.new }
        {
            self.known_chunks.lists.keep(file.hash, average_bytes, chunks);
        }
        self.go_on(ticket);
    }

    /// A file that was put together is not what it should be: what its parts were found by is not asked again.
    pub(super) fn forget_chunks(&mut self, step: &Step) {
        for leaf in [&step.old, &step.new] {
            if let Some(Leaf::File(file)) = leaf {
                self.known_chunks.lists.forget(&file.hash);
            }
        }
    }
}

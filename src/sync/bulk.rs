//! Large files travel in pieces, a few at a time, so that an edit beside them does not wait; what arrived before a cut
//! is not sent again, and what the receiver has in the file that is replaced is not sent at all.

use super::chunks::{CUT_FROM_BYTES, average_bytes};
use super::controller::{Controller, Flight};
use super::delta::{Delta, Part};
use super::issue::{content_of, order};
use super::message::{Ask, Body, Ticket};
use super::path::{Blob, TreePath};
use super::reconcile::{Side, Step};
use super::tree::{File, Leaf};
use std::collections::VecDeque;

/// One piece.
const PIECE_BYTES: u64 = 256 << 10;
/// Of one file, sent and not yet written.
const MOST_SENT_BYTES: u64 = 2 << 20;
/// What the receiver copies by one ask, …
const COPY_BYTES: u64 = 2 << 20;
/// … and what it has to write in all before it is asked for more.
const MOST_ASKED_BYTES: u64 = 16 << 20;
/// Files under way at a time.
const MOST_FILES: usize = 2;

/// A large file under way.
pub(super) struct Bulk {
    pub(super) to: Side,
    pub(super) size_bytes: u64,
    /// What the receiver had of it at the beginning, once that is known.
    have: Option<u64>,
    /// Up to where it is known what comes from where; none: all that is left is sent.
    planned_bytes: u64,
    /// The file that is replaced, if what is new is worth finding.
    old: Option<File>,
    pub(super) delta: Option<Delta>,
    written_bytes: u64,
    /// Parts that nobody was asked for yet.
    parts: VecDeque<Part>,
    /// Parts that were asked for and are not written yet, in the order of the file.
    asked: VecDeque<Part>,
    /// So many of them, the first ones, the receiver was told of.
    told: usize,
    asked_bytes: u64,
    /// What the sender sends of these.
    sent_bytes: u64,
}

impl Bulk {
    fn new(to: Side, size_bytes: u64, old: Option<File>) -> Bulk {
        let (parts, asked) = (VecDeque::new(), VecDeque::new());
        Bulk {
            to,
            size_bytes,
            have: None,
            planned_bytes: 0,
            old,
            delta: None,
            written_bytes: 0,
            parts,
            asked,
            told: 0,
            asked_bytes: 0,
            sent_bytes: 0,
        }
    }

    fn plan(&mut self, have: u64) {
        let parts = match &mut self.delta {
            Some(delta) => delta.parts(have),
            None if self.planned_bytes == self.size_bytes => return,
            None => {
                let (offset, length) = (self.planned_bytes, self.size_bytes - self.planned_bytes);
                vec![Part { own: None, offset, length }]
            }
        };
        self.planned_bytes += parts.iter().map(|part| part.length).sum::<u64>();
        self.parts.extend(parts);
        if self.planned_bytes == self.size_bytes {
            self.delta = None;
        }
    }

    /// What may be asked for now.
    fn next_part(&mut self) -> Option<Part> {
        let next = self.parts.front_mut()?;
        let is_sent = next.own.is_none();
        if self.asked_bytes >= MOST_ASKED_BYTES || (is_sent && self.sent_bytes >= MOST_SENT_BYTES) {
            return None;
        }
        let length = next.length.min(if is_sent { PIECE_BYTES } else { COPY_BYTES });
        let part = Part { length, ..*next };
        *next =
            Part { own: next.own.map(|own| own + length), offset: next.offset + length, length: next.length - length };
        if next.length == 0 {
            self.parts.pop_front();
        }
        self.asked_bytes += length;
        self.sent_bytes += if is_sent { length } else { 0 };
        self.asked.push_back(part);
        Some(part)
    }

    /// What the receiver copies next, until a piece has to come.
    fn copies(&mut self, ticket: Ticket, path: &TreePath) -> Vec<Ask> {
        let mut copies = Vec::new();
        while let Some(Part { own: Some(offset), length, .. }) = self.asked.get(self.told) {
            copies.push(Ask::Copy { ticket, path: path.clone(), offset: *offset, length: *length });
            self.told += 1;
        }
        copies
    }

    fn note_written(&mut self) {
        let Some(told) = self.told.checked_sub(1) else { return };
        let Some(part) = self.asked.pop_front() else { return };
        self.told = told;
        self.written_bytes += part.length;
        self.asked_bytes -= part.length;
        self.sent_bytes -= if part.own.is_none() { part.length } else { 0 };
    }
}

/// The file that is replaced, when what is new in the other is worth finding.
fn old_file(step: &Step, size_bytes: u64) -> Option<File> {
    match &step.old {
        Some(Leaf::File(old)) if old.size_bytes.min(size_bytes) >= CUT_FROM_BYTES => Some(*old),
        _ => None,
    }
}

impl Controller {
    pub(super) fn issue_large(&mut self) {
        while self.bulk.len() < MOST_FILES {
            let Some((to, step)) = self.large.pop_front() else { break };
            let Some(file) = content_of(&step).copied() else { continue };
            let ticket = self.ticket();
            let size_bytes = file.size_bytes;
            let own = self.own_copy(to, &step);
            self.ask(to, Ask::Begin { ticket, hash: file.hash, size_bytes, own });
            // What was put together wrongly once is sent whole.
            let old = old_file(&step, size_bytes).filter(|_| !self.not_own.contains(&step.path));
            self.bulk.insert(ticket, Bulk::new(to, size_bytes, old));
            self.fly(ticket, Flight { to, step, bytes: 0, doing: false, alone: false });
        }
    }

    /// The receiver says how much of it is there from before.
    pub(super) fn begun(&mut self, ticket: Ticket, have: u64) {
        if let Some(bulk) = self.bulk.get_mut(&ticket) {
            let have = have.min(bulk.size_bytes);
            (bulk.have, bulk.planned_bytes, bulk.written_bytes) = (Some(have), have, have);
            let (to, size_bytes) = (bulk.to, bulk.size_bytes);
            if let Some(old) = bulk.old.filter(|_| have < size_bytes)
                && let Some(path) = self.flights.get(&ticket).map(|flight| flight.step.path.clone())
            {
                bulk.delta = Some(Delta::new(old.size_bytes, size_bytes));
                let average_bytes = average_bytes(size_bytes);
                self.ask(to.other(), Ask::Cut { ticket, path: path.clone(), size_bytes, average_bytes });
                self.find_old_chunks(ticket, to, path, &old, average_bytes);
            }
            self.go_on(ticket);
        }
    }

    pub(super) fn go_on(&mut self, ticket: Ticket) {
        let (Some(bulk), Some(flight)) = (self.bulk.get_mut(&ticket), self.flights.get_mut(&ticket)) else { return };
        let Some(have) = bulk.have else { return };
        bulk.plan(have);
        let (to, path) = (bulk.to, &flight.step.path);
        let mut asks = Vec::new();
        while let Some(Part { own, offset, length }) = bulk.next_part() {
            if own.is_none() {
                asks.push((to.other(), Ask::ReadPiece { ticket, path: path.clone(), offset, length: length as u32 }));
            }
        }
        asks.extend(bulk.copies(ticket, path).into_iter().map(|ask| (to, ask)));
        if bulk.written_bytes == bulk.size_bytes && !flight.doing {
            flight.doing = true;
            asks.push((to, Ask::Do(vec![order(ticket, &flight.step, Body::Staged)])));
        }
        for (side, ask) in asks {
            self.ask(side, ask);
        }
    }

    /// A piece came: on to the receiver.
    pub(super) fn piece(&mut self, ticket: Ticket, data: Option<Blob>) {
        let (Some(bulk), Some(flight)) = (self.bulk.get_mut(&ticket), self.flights.get(&ticket)) else { return };
        // Pieces come in order; a shorter one means that the file is not what it was.
        let wanted = bulk.asked.get(bulk.told).filter(|part| part.own.is_none()).map(|part| part.length);
        let Some(data) = data.filter(|data| Some(data.0.len() as u64) == wanted) else { return self.abandon(ticket) };
        let to = bulk.to;
        bulk.told += 1;
        let mut asks = vec![Ask::Piece { ticket, data }];
        asks.extend(bulk.copies(ticket, &flight.step.path));
        for ask in asks {
            self.ask(to, ask);
        }
    }

    /// The file changed while it was sent.
    fn abandon(&mut self, ticket: Ticket) {
        if self.bulk.remove(&ticket).is_none() {
            return;
        }
        for side in [Side::Here, Side::There] {
            self.ask(side, Ask::Abandon { ticket, keep: false });
        }
        if let Some(flight) = self.land(ticket) {
            self.stall(flight.to, flight.step.path, None);
        }
    }

    /// The receiver wrote the next part.
    pub(super) fn written(&mut self, ticket: Ticket) {
        if let Some(bulk) = self.bulk.get_mut(&ticket) {
            bulk.note_written();
            self.go_on(ticket);
        }
    }
}

//! Large files travel in pieces, a few at a time, so that an edit beside them does not wait; what arrived before a cut
//! is not sent again.

use super::controller::{Controller, Flight};
use super::issue::{content_of, order};
use super::message::{Ask, Body, Ticket};
use super::path::Blob;
use super::reconcile::Side;

/// One piece.
const PIECE_BYTES: u64 = 256 << 10;
/// Pieces of one file under way.
const MOST_PIECES: u64 = 8;
/// Files under way at a time.
const MOST_FILES: usize = 2;

/// A large file under way.
pub(super) struct Bulk {
    pub(super) to: Side,
    pub(super) size_bytes: u64,
    /// Asked of the sender so far, and written by the receiver.
    asked_bytes: u64,
    sent_bytes: u64,
    written_bytes: u64,
}

impl Controller {
    pub(super) fn issue_large(&mut self) {
        while self.bulk.len() < MOST_FILES {
            let Some((to, step)) = self.large.pop_front() else { break };
            let Some(file) = content_of(&step).copied() else { continue };
            let ticket = self.ticket();
            let size_bytes = file.size_bytes;
            self.bulk.insert(ticket, Bulk { to, size_bytes, asked_bytes: 0, sent_bytes: 0, written_bytes: 0 });
            self.fly(ticket, Flight { to, step, bytes: 0, doing: false, alone: false });
            self.ask(to, Ask::Begin { ticket, hash: file.hash, size_bytes });
        }
    }

    /// The receiver says how much of it is there from before.
    pub(super) fn begun(&mut self, ticket: Ticket, have: u64) {
        if let Some(bulk) = self.bulk.get_mut(&ticket) {
            let have = have.min(bulk.size_bytes);
            (bulk.asked_bytes, bulk.sent_bytes, bulk.written_bytes) = (have, have, have);
            self.ask_pieces(ticket);
        }
    }

    fn ask_pieces(&mut self, ticket: Ticket) {
        let (Some(bulk), Some(flight)) = (self.bulk.get_mut(&ticket), self.flights.get_mut(&ticket)) else { return };
        let from = bulk.to.other();
        let mut asks = Vec::new();
        while bulk.asked_bytes < bulk.size_bytes && bulk.asked_bytes - bulk.written_bytes < MOST_PIECES * PIECE_BYTES {
            let length = PIECE_BYTES.min(bulk.size_bytes - bulk.asked_bytes);
            let path = flight.step.path.clone();
            asks.push(Ask::ReadPiece { ticket, path, offset: bulk.asked_bytes, length: length as u32 });
            bulk.asked_bytes += length;
        }
        let to = bulk.to;
        if bulk.written_bytes == bulk.size_bytes && !flight.doing {
            flight.doing = true;
            let order = order(ticket, &flight.step, Body::Staged);
            self.ask(to, Ask::Do(vec![order]));
        }
        for ask in asks {
            self.ask(from, ask);
        }
    }

    /// A piece came: on to the receiver.
    pub(super) fn piece(&mut self, ticket: Ticket, data: Option<Blob>) {
        let Some(bulk) = self.bulk.get_mut(&ticket) else { return };
        let (to, wanted) = (bulk.to, PIECE_BYTES.min(bulk.size_bytes - bulk.sent_bytes));
        bulk.sent_bytes += wanted;
        // Pieces come in order; a shorter one means that the file is not what it was.
        match data.filter(|data| data.0.len() as u64 == wanted && wanted > 0) {
            Some(data) => self.ask(to, Ask::Piece { ticket, data }),
            None => self.abandon(ticket),
        }
    }

    /// The file changed while it was sent.
    fn abandon(&mut self, ticket: Ticket) {
        let Some(bulk) = self.bulk.remove(&ticket) else { return };
        self.ask(bulk.to, Ask::Abandon { ticket, keep: false });
        if let Some(flight) = self.land(ticket) {
            self.stall(flight.to, flight.step.path, None);
        }
    }

    pub(super) fn written(&mut self, ticket: Ticket, length: u64) {
        if let Some(bulk) = self.bulk.get_mut(&ticket) {
            bulk.written_bytes = (bulk.written_bytes + length).min(bulk.asked_bytes);
            self.ask_pieces(ticket);
        }
    }
}

//! Sends planned steps on their way, as many at a time as memory and the wire should hold.

use super::controller::{Controller, Flight};
use super::message::{Ask, Body, Order, ReadFile, Ticket};
use super::path::Blob;
use super::queue::Queue;
use super::reconcile::{Side, Step};
use super::tree::Leaf;

/// Content and orders between the two sides at any time. Also bounds how long an edit waits behind a first copy.
const MOST_FLIGHT_BYTES: u64 = 4 << 20;
/// Larger files travel in pieces, beside everything else.
pub(super) const LARGE_FILE_BYTES: u64 = 256 << 10;
/// What one message of contents or orders holds, about.
const BATCH_BYTES: u64 = 256 << 10;
/// What a step takes beside its content.
const STEP_BYTES: u64 = 200;
/// Larger files are copied by their receiver in slices too.
const COPIED_AT_ONCE_BYTES: u64 = 1 << 20;
/// Copying one of its own files takes the receiver about as long as receiving this part of it.
const COPY_SHARE: u64 = 8;

/// Messages being filled for one side.
#[derive(Default)]
struct Batch {
    orders: Vec<Order>,
    reads: Vec<ReadFile>,
    bytes: u64,
}

/// The content that a step needs, if any.
pub(super) fn content_of(step: &Step) -> Option<&super::tree::File> {
    let Some(Leaf::File(new)) = &step.new else { return None };
    if step.from.is_some() {
        return None;
    }
    match &step.old {
        Some(Leaf::File(old)) if old.hash == new.hash => None,
        _ => Some(new),
    }
}

impl Controller {
    /// Sends what there is room for.
    pub(super) fn issue(&mut self) {
        let (mut here, mut there) = (Batch::default(), Batch::default());
        while self.flight_bytes < MOST_FLIGHT_BYTES {
            let Some((to, step)) = self.queue.pop() else { break };
            let own = self.own_copy(to, &step);
            let file = content_of(&step).copied();
            let content = file.filter(|file| own.is_none() || file.size_bytes > COPIED_AT_ONCE_BYTES);
            if content.is_some_and(|file| file.size_bytes > LARGE_FILE_BYTES) {
                self.large.push_back((to, step));
                continue;
            }
            let ticket = self.ticket();
            // What is asked for goes to the side that has the content, what is done to the one that is changed.
            let side = if content.is_some() { to.other() } else { to };
            let batch = if side == Side::Here { &mut here } else { &mut there };
            let share = if content.is_some() { 1 } else { COPY_SHARE };
            let content_bytes = file.map_or(0, |file| file.size_bytes / share);
            let bytes = STEP_BYTES + step.path.as_bytes().len() as u64 + content_bytes;
            batch.bytes += bytes;
            match content {
                Some(file) => batch.reads.push(ReadFile {
                    ticket,
                    path: step.path.clone(),
                    hash: file.hash,
                    size_bytes: file.size_bytes,
                }),
                None => {
                    let renamed = step.from.clone().map(Body::Renamed);
                    batch.orders.push(order(ticket, &step, renamed.or(own.map(Body::Own)).unwrap_or(Body::None)));
                }
            }
            self.fly(ticket, Flight { to, step, bytes, doing: content.is_none(), alone: false });
            if here.bytes > BATCH_BYTES {
                self.send_batch(Side::Here, std::mem::take(&mut here));
            }
            if there.bytes > BATCH_BYTES {
                self.send_batch(Side::There, std::mem::take(&mut there));
            }
        }
        self.send_batch(Side::Here, here);
        self.send_batch(Side::There, there);
        self.issue_large();
        self.next_phase();
    }

    pub(super) fn fly(&mut self, ticket: Ticket, flight: Flight) {
        self.flight_bytes += flight.bytes;
        *self.busy.entry((flight.to, flight.step.path.clone())).or_default() += 1;
        self.flights.insert(ticket, flight);
    }

    fn send_batch(&mut self, side: Side, batch: Batch) {
        if !batch.orders.is_empty() {
            self.ask(side, Ask::Do(batch.orders));
        }
        if !batch.reads.is_empty() {
            self.ask(side, Ask::Read(batch.reads));
        }
    }

    /// Contents came from `side`: on to the other.
    pub(super) fn contents(&mut self, side: Side, contents: Vec<(Ticket, Option<Blob>)>) {
        let mut orders = Vec::new();
        for (ticket, content) in contents {
            let Some(flight) = self.flights.get_mut(&ticket) else { continue };
            match content {
                Some(content) if flight.to == side.other() => {
                    flight.doing = true;
                    orders.push(order(ticket, &flight.step, Body::Inline(content)));
                }
                _ => {
                    // It is not what it was; what it is now was told before this.
                    if let Some(flight) = self.land(ticket) {
                        self.stall(flight.to, flight.step.path, None);
                    }
                }
            }
        }
        if !orders.is_empty() {
            self.ask(side.other(), Ask::Do(orders));
        }
    }

    /// Steps that are known and not done.
    pub(super) fn backlog(&self) -> u64 {
        let later: usize = self.later.iter().map(Queue::len).sum();
        (self.queue.len() + self.large.len() + self.flights.len() + later) as u64
    }
}

pub(super) fn order(ticket: Ticket, step: &Step, body: Body) -> Order {
    Order { ticket, path: step.path.clone(), old: step.old.clone(), new: step.new.clone(), body }
}

//! Sends planned steps on their way, as many at a time as memory and the wire should hold.

use super::controller::{Controller, Flight};
use super::message::{Ask, Body, Order, ReadFile, Ticket};
use super::path::Blob;
use super::queue::Queue;
use super::reconcile::{PerSide, Side, Step};
use super::tree::Leaf;

/// Content and orders between the two sides at any time, about. Also bounds how long an edit waits behind a first copy.
const MOST_FLIGHT_BYTES: u64 = 4 << 20;
/// Larger files travel in pieces, beside everything else.
pub(super) const LARGE_FILE_BYTES: u64 = 256 << 10;
/// What one message of contents or orders holds, about.
const BATCH_BYTES: u64 = 256 << 10;
/// A message of orders that is longer than this is sent, whatever else is ready: far below the longest there may be.
const MOST_MESSAGE_BYTES: u64 = 1 << 20;
/// What a step takes beside its content.
const STEP_BYTES: u64 = 200;
/// Larger files are copied by their receiver in slices too.
const COPIED_AT_ONCE_BYTES: u64 = 1 << 20;
/// Copying one of its own files takes the receiver about as long as receiving this part of it.
const COPY_SHARE: u64 = 8;

/// What is asked of one side for the other, being filled.
#[derive(Default)]
struct Batch {
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
        let mut batches = PerSide::<Batch>::default();
        while self.has_room() {
            let Some((to, step)) = self.queue.pop() else { break };
            let own = self.own_copy(to, &step);
            let file = content_of(&step).copied();
            let content = file.filter(|file| own.is_none() || file.size_bytes > COPIED_AT_ONCE_BYTES);
            if content.is_some_and(|file| file.size_bytes > LARGE_FILE_BYTES) {
                self.large.push_back((to, step));
                continue;
            }
            let ticket = self.ticket();
            let share = if content.is_some() { 1 } else { COPY_SHARE };
            let content_bytes = file.map_or(0, |file| file.size_bytes / share);
            let bytes = STEP_BYTES + step.path.as_bytes().len() as u64 + content_bytes;
            // What is asked for goes to the side that has the content.
            let batch = batches.of(to.other());
            // A folder begins a new message rather than come with a part of what is in it.
            if batch.bytes > if step.new == Some(Leaf::Folder) { BATCH_BYTES / 2 } else { BATCH_BYTES } {
                self.send_reads(to.other(), std::mem::take(batch));
            }
            match content {
                Some(file) => {
                    batch.bytes += bytes;
                    let (path, hash, size_bytes) = (step.path.clone(), file.hash, file.size_bytes);
                    batch.reads.push(ReadFile { ticket, path, hash, size_bytes });
                    self.outgoing.of(to).expect(ticket);
                }
                None => {
                    let renamed = step.from.clone().map(Body::Renamed);
                    let body = renamed.or(own.map(Body::Own)).unwrap_or(Body::None);
                    self.outgoing.of(to).put(order(ticket, &step, body));
                }
            }
            self.fly(ticket, Flight { to, step, bytes, doing: false, alone: false });
        }
        for side in [Side::Here, Side::There] {
            self.send_reads(side, std::mem::take(batches.of(side)));
            self.send_orders(side, Vec::new());
        }
        self.issue_large();
        self.next_phase();
    }

    /// What is in a folder that has been begun may go beyond the limit a little, so that it goes with its folder.
    fn has_room(&self) -> bool {
        let goes_on = self.queue.peek().is_some_and(|next| next.new != Some(Leaf::Folder));
        self.flight_bytes < MOST_FLIGHT_BYTES + if goes_on { BATCH_BYTES } else { 0 }
    }

    pub(super) fn fly(&mut self, ticket: Ticket, flight: Flight) {
        self.flight_bytes += flight.bytes;
        *self.busy.entry((flight.to, flight.step.path.clone())).or_default() += 1;
        self.flights.insert(ticket, flight);
    }

    fn send_reads(&mut self, side: Side, batch: Batch) {
        if !batch.reads.is_empty() {
            self.ask(side, Ask::Read(batch.reads));
        }
    }

    /// Sends orders to a side, and those that wait for nothing.
    fn send_orders(&mut self, to: Side, mut orders: Vec<Order>) {
        orders.extend(self.outgoing.of(to).free());
        for order in &orders {
            self.flights.entry(order.ticket).and_modify(|flight| flight.doing = true);
        }
        let mut message = Vec::new();
        let mut bytes = 0;
        for order in orders {
            bytes += STEP_BYTES + order.length_bytes();
            message.push(order);
            if bytes > MOST_MESSAGE_BYTES {
                self.ask(to, Ask::Do(std::mem::take(&mut message)));
                bytes = 0;
            }
        }
        if !message.is_empty() {
            self.ask(to, Ask::Do(message));
        }
    }

    /// Contents came from `side`: on to the other.
    pub(super) fn contents(&mut self, side: Side, contents: Vec<(Ticket, Option<Blob>)>) {
        let to = side.other();
        let mut orders = Vec::new();
        for (ticket, content) in contents {
            orders.extend(self.outgoing.of(to).came(ticket));
            let Some(flight) = self.flights.get(&ticket) else { continue };
            match content {
                Some(content) if flight.to == to => {
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
        self.send_orders(to, orders);
    }

    /// Steps that are known and not done.
    pub(super) fn backlog(&self) -> u64 {
        let later: usize = self.later.iter().map(Queue::len).sum();
        (self.queue.len() + self.large.len() + self.flights.len() + later) as u64
    }
}

impl Order {
    /// What is long in it.
    fn length_bytes(&self) -> u64 {
        let link = |leaf: &Option<Leaf>| if let Some(Leaf::Link(target)) = leaf { target.0.len() } else { 0 };
        let content = if let Body::Inline(content) = &self.body { content.0.len() } else { 0 };
        (self.path.as_bytes().len() + content + link(&self.old) + link(&self.new)) as u64
    }
}

pub(super) fn order(ticket: Ticket, step: &Step, body: Body) -> Order {
    Order { ticket, path: step.path.clone(), old: step.old.clone(), new: step.new.clone(), body }
}

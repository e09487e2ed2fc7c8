//! What it means that a side is there, and that it is gone: the connection broke, or the work on this side did.

use super::controller::{Controller, FIRST_WAIT, LONGEST_WAIT, LOOK_FOR_ROOT};
use super::link::Link;
use super::message::{Ask, Ticket};
use super::reconcile::{PerSide, Side};
use super::worker::Work;
use crate::model::Result;
use tokio::time::Instant;

impl Drop for Controller {
    /// A controller that is dropped on its way, with its runtime, ends the thread on this side too, or the runtime would
    /// wait for it for ever.
    fn drop(&mut self) {
        if let Some(asks) = self.asks_here.take() {
            let _ = asks.send(Work::End);
        }
    }
}

impl Controller {
    pub(super) fn connected(&mut self, result: Result<Link>) {
        self.connecting = None;
        match result {
            Ok(link) => {
                self.wait = FIRST_WAIT;
                if self.far_replica.is_some_and(|known| known != link.replica) {
                    self.note("the other side's copy is a new one: nothing was deleted on account of it");
                    self.forget_base();
                }
                let is_new = self.far_replica.replace(link.replica) != Some(link.replica);
                self.told_lives.there = Some(link.life);
                self.there.rules = link.rules;
                self.link = Some(link);
                self.there.lost = None;
                self.scan(Side::There);
                if is_new {
                    // It reads its tree meanwhile.
                    self.save();
                }
            }
            Err(failure) => {
                self.there.lost = Some(failure.chain().join(": "));
                self.retry_later();
            }
        }
    }

    fn retry_later(&mut self) {
        self.retry_at = Some(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    pub(super) fn lose_link(&mut self) {
        // Told for as long as there is no other connection.
        self.there.lost = self.link.take().and_then(|mut link| link.why.try_recv().ok());
        self.lose(Side::There);
        // What this side has in hand it finishes; everything else needs the other side.
        let lost: Vec<Ticket> =
            self.flights.iter().filter(|(_, f)| !(f.to == Side::Here && f.doing)).map(|(ticket, _)| *ticket).collect();
        for ticket in lost {
            self.land(ticket);
            if self.bulk.remove(&ticket).is_some() {
                self.ask(Side::Here, Ask::Abandon { ticket, keep: true });
            }
        }
        // Those for this side have content to wait for.
        self.outgoing = PerSide::default();
        self.clear_queues();
        self.replan = true;
        self.retry_later();
    }

    /// The thread that works on this side's tree ended before its time: the tree is opened anew.
    pub(super) fn lose_here(&mut self) {
        (self.worker, self.asks_here) = (None, None);
        self.lose(Side::Here);
        self.here.lost = Some(format!("reading {} broke off", self.start.root.display()));
        self.look_at = Some(Instant::now() + LOOK_FOR_ROOT);
        let lost: Vec<Ticket> = self.flights.keys().copied().collect();
        for ticket in lost {
            self.land(ticket);
            if self.bulk.remove(&ticket).is_some() {
                self.ask(Side::There, Ask::Abandon { ticket, keep: true });
            }
        }
        self.outgoing = PerSide::default();
        self.undoing.clear();
        self.clear_queues();
        self.replan = true;
    }

    /// Nothing that was asked of a side is answered any more.
    fn lose(&mut self, side: Side) {
        for (waits, asked) in self.flushes.iter_mut().flat_map(|flush| &mut flush.waiting) {
            if *waits == side {
                *asked = None;
            }
        }
        self.known_chunks.lose(side);
        self.unsettled.put_back(side);
        let has_more = !self.unsettled.is_empty(side);
        let known = self.known(side);
        known.ready = false;
        known.incoming = None;
        known.settled &= !has_more;
    }
}

//! Answers those who wait: for a flush, for the first copy, or for a session that cannot begin.

use super::controller::{Command, Controller, Flush};
use super::message::Ask;
use super::queue::Queue;
use super::reconcile::Side;
use crate::model::sync::{SyncState, SyncStatus};
use crate::model::{Event, Failure, Result};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// When a flush has waited so long, the status says what for.
const LONG_FLUSH: Duration = Duration::from_secs(10);

impl Controller {
    pub(super) fn flush(&mut self, reply: oneshot::Sender<Result<()>>) {
        let waiting = vec![(Side::Here, None), (Side::There, None)];
        self.flushes.push(Flush { waiting, since: Instant::now(), reply });
    }

    /// What a flush that takes long waits for, for people.
    pub(super) fn what_flushes_wait_for(&self) -> Option<String> {
        let flush = self.flushes.iter().min_by_key(|flush| flush.since)?;
        let waited = Some(flush.since.elapsed()).filter(|waited| *waited >= LONG_FLUSH)?;
        let to_here = self.flights.values().filter(|flight| flight.to == Side::Here).count();
        let in_hand = self.flights.values().filter(|flight| flight.doing).count();
        let refused = self.stalled.values().filter(|stalled| stalled.reason.is_none()).count();
        let unheard = |side| flush.waiting.iter().any(|(waits, asked)| *waits == side && asked.is_some());
        let counts = [
            (self.queue.len(), "queued"),
            (self.large.len(), "large queued"),
            (self.later.iter().map(Queue::len).sum(), "for later"),
            (to_here, "on the way here"),
            (self.flights.len() - to_here, "on the way there"),
            (in_hand, "of them in hand"),
            (self.bulk.len(), "in pieces"),
            (refused, "to be tried again"),
        ];
        let states = [
            (!self.here.ready, "this side is being read"),
            (self.link.is_none(), "no connection"),
            (self.link.is_some() && !self.there.ready, "the other side is being read"),
            (unheard(Side::Here), "this side has not answered"),
            (unheard(Side::There), "the other side has not answered"),
            (self.replan, "to be planned"),
            (self.stale, "to be planned again"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let states = states.into_iter().filter(|(holds, _)| *holds).map(|(_, what)| what.to_owned());
        let all: Vec<_> = counts.chain(states).collect();
        Some(format!("a flush has waited for {} s: {}", waited.as_secs(), all.join(", ")))
    }

    /// Asks each side that can answer for what changed until now. One that is being read is asked after that: what was
    /// saved while it was read may have been missed.
    fn ask_barriers(&mut self) {
        for mut flush in std::mem::take(&mut self.flushes) {
            for (side, asked) in &mut flush.waiting {
                if asked.is_none() && self.known(*side).ready {
                    let ticket = self.ticket();
                    *asked = Some(ticket);
                    self.ask(*side, Ask::Barrier { ticket });
                }
            }
            self.flushes.push(flush);
        }
    }

    pub(super) fn finish_flushes(&mut self) {
        let stopped = match self.state() {
            SyncState::Paused => Some("file sync is paused".to_owned()),
            SyncState::Waiting { reason } => Some(reason),
            _ => None,
        };
        self.ask_barriers();
        let idle = self.is_idle();
        for flush in std::mem::take(&mut self.flushes) {
            if let Some(reason) = &stopped {
                let failure = Failure::new(format!("what was saved may not be on the other side: {reason}"));
                let _ = flush.reply.send(Err(failure.hint("see `devenv sync status`, then `devenv sync resume`")));
                continue;
            }
            match idle && flush.waiting.is_empty() {
                true => drop(flush.reply.send(Ok(()))),
                false => self.flushes.push(flush),
            }
        }
    }

    /// Tells of the first copy as of a transfer.
    pub(super) fn tell_progress(&mut self, done: bool) {
        let id = format!("sync {}", self.start.root.display());
        let left = self.backlog();
        match (self.announced, done) {
            (None, false) if !self.first_done && left > 0 => {
                self.announced = Some(left);
                let label = format!("copying {}", self.start.root.display());
                self.start.events.send(Event::TransferBegan { id, label, total_bytes: Some(left) });
            }
            (Some(total), false) => {
                self.start.events.send(Event::TransferAt { id, done_bytes: total.saturating_sub(left) });
            }
            (Some(_), true) => {
                self.announced = None;
                let label = format!("{} is the same on both sides", self.start.root.display());
                self.start.events.send(Event::TransferEnded { id, label });
            }
            (None, _) => {}
        }
    }
}

/// A session that cannot even begin says so to whoever asks.
pub(super) async fn refuse(failure: Failure, mut commands: mpsc::UnboundedReceiver<Command>) {
    let reason = failure.chain().join(": ");
    while let Some(command) = commands.recv().await {
        let refusal = || Failure::new(reason.clone());
        match command {
            Command::Status(reply) => {
                let state = SyncState::Failed { reason: reason.clone() };
                let _ = reply.send(SyncStatus { state, ..SyncStatus::default() });
            }
            Command::Flush(reply) => drop(reply.send(Err(refusal()))),
            Command::Resolve { reply, .. } | Command::Undo(reply) => drop(reply.send(Err(refusal()))),
            Command::Stop => return,
            Command::Pause | Command::Resume | Command::Reset => {}
        }
    }
}

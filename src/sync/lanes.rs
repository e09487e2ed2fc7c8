//! What is short overtakes what is large: two lanes for each way of a connection, and two in front of each replica.

use super::message::{Ask, Tell, Ticket};
use super::worker::{Gone, Told, Work};
use std::collections::VecDeque;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

/// Messages of a replica that wait for the stream. Content of large files is bounded by what was asked for.
const TELLS_WAITING: usize = 16;

impl Ask {
    /// Whether it is about a part of a large file, so that everything else may go first. Those of one file stay in
    /// order.
    pub fn is_bulk(&self) -> bool {
        matches!(self, Ask::Piece { .. } | Ask::Copy { .. } | Ask::ReadPiece { .. })
    }
}

impl Tell {
    /// As of an ask.
    pub fn is_bulk(&self) -> bool {
        matches!(self, Tell::Piece { .. } | Tell::Chunks { .. })
    }
}

/// Where asks for the far replica go in.
pub struct Asks {
    first: UnboundedSender<Ask>,
    bulk: UnboundedSender<Ask>,
}

/// Where they come out.
pub struct Asked {
    first: UnboundedReceiver<Ask>,
    bulk: UnboundedReceiver<Ask>,
}

/// Two lanes to the far replica.
pub fn asks() -> (Asks, Asked) {
    let (first, first_out) = mpsc::unbounded_channel();
    let (bulk, bulk_out) = mpsc::unbounded_channel();
    (Asks { first, bulk }, Asked { first: first_out, bulk: bulk_out })
}

impl Asks {
    /// Sends; a connection that is gone is noticed where its tells end.
    pub fn send(&self, ask: Ask) {
        let lane = if ask.is_bulk() { &self.bulk } else { &self.first };
        let _ = lane.send(ask);
    }
}

impl Asked {
    /// The next to travel; `None` when nobody asks any more.
    pub async fn next(&mut self) -> Option<Ask> {
        tokio::select! {
            biased;
            Some(ask) = self.first.recv() => Some(ask),
            Some(ask) = self.bulk.recv() => Some(ask),
            else => None,
        }
    }
}

/// How a replica tells.
pub struct Tells {
    first: Sender<Tell>,
    /// `None`: whoever hears takes everything at once.
    bulk: Option<UnboundedSender<Tell>>,
}

/// What a far replica tells, on its way to the stream.
pub struct ToTell {
    first: Receiver<Tell>,
    bulk: UnboundedReceiver<Tell>,
}

/// Two lanes from a far replica.
pub fn tells() -> (Tells, ToTell) {
    let (first, first_out) = mpsc::channel(TELLS_WAITING);
    let (bulk, bulk_out) = mpsc::unbounded_channel();
    (Tells { first, bulk: Some(bulk) }, ToTell { first: first_out, bulk: bulk_out })
}

impl From<Sender<Tell>> for Tells {
    fn from(first: Sender<Tell>) -> Tells {
        Tells { first, bulk: None }
    }
}

impl Tells {
    /// Tells; waits while too much of the first lane is on its way.
    pub fn tell(&self, tell: Tell) -> Told {
        match &self.bulk {
            Some(bulk) if tell.is_bulk() => bulk.send(tell).map_err(|_| Gone),
            _ => self.first.blocking_send(tell).map_err(|_| Gone),
        }
    }
}

impl ToTell {
    /// The next to travel; `None` when the replica has ended.
    pub async fn next(&mut self) -> Option<Tell> {
        tokio::select! {
            biased;
            Some(tell) = self.first.recv() => Some(tell),
            Some(tell) = self.bulk.recv() => Some(tell),
            else => None,
        }
    }
}

/// Work that waits for the thread of a replica.
#[derive(Default)]
pub struct Lanes {
    first: VecDeque<Work>,
    bulk: VecDeque<Ask>,
}

impl Lanes {
    pub fn put(&mut self, work: Work) {
        match work {
            Work::Ask(ask) if ask.is_bulk() => self.bulk.push_back(ask),
            work => self.first.push_back(work),
        }
    }

    /// What goes before everything else.
    pub fn first(&mut self) -> Option<Work> {
        self.first.pop_front()
    }

    /// A part of a large file.
    pub fn bulk(&mut self) -> Option<Ask> {
        self.bulk.pop_front()
    }

    /// Drops what waits for a file that will not be finished now.
    pub fn abandon(&mut self, abandoned: Ticket) {
        self.bulk.retain(|ask| match ask {
            Ask::Piece { ticket, .. } | Ask::Copy { ticket, .. } | Ask::ReadPiece { ticket, .. } => {
                *ticket != abandoned
            }
            _ => true,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.bulk.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::path::Blob;

    fn piece(ticket: Ticket) -> Ask {
        Ask::Piece { ticket, data: Blob(vec![1]) }
    }

    #[tokio::test]
    async fn what_is_short_overtakes_pieces_and_pieces_stay_in_order() {
        let (asks, mut asked) = asks();
        [piece(1), piece(2), Ask::Settle { ticket: 3 }].into_iter().for_each(|ask| asks.send(ask));
        drop(asks);
        for wanted in [Ask::Settle { ticket: 3 }, piece(1), piece(2)] {
            assert_eq!(asked.next().await, Some(wanted));
        }
        assert_eq!(asked.next().await, None);
    }

    #[test]
    fn what_is_abandoned_does_not_wait_any_more() {
        let mut lanes = Lanes::default();
        [piece(1), piece(2), piece(1)].into_iter().for_each(|ask| lanes.put(Work::Ask(ask)));
        lanes.abandon(1);
        assert_eq!(lanes.bulk(), Some(piece(2)));
        assert!(lanes.is_empty());
    }
}

//! Orders for one side, in the order of their steps: those that need no content wait for content that was asked for
//! before them, so that a new folder goes together with what is in it.

use super::message::{Order, Ticket};
use std::collections::VecDeque;

/// What one side is going to be told to do.
#[derive(Default)]
pub struct Outgoing {
    waiting: VecDeque<Waiting>,
    /// So many of them are content.
    contents: usize,
}

enum Waiting {
    Order(Order),
    /// The content for this step is on its way.
    Content(Ticket),
}

impl Outgoing {
    /// Adds one that needs no content.
    pub fn put(&mut self, order: Order) {
        self.waiting.push_back(Waiting::Order(order));
    }

    /// Keeps a place for one whose content was asked for.
    pub fn expect(&mut self, ticket: Ticket) {
        self.contents += 1;
        self.waiting.push_back(Waiting::Content(ticket));
    }

    /// The content for `ticket` came, or will not come: gives what waited for it. Contents come in the order in which
    /// they were asked for.
    pub fn came(&mut self, ticket: Ticket) -> impl Iterator<Item = Order> {
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Content(wanted) if *wanted == ticket);
        let count = self.waiting.iter().position(is_it).map_or(0, |at| at + 1);
        let passed: Vec<Waiting> = self.waiting.drain(..count).collect();
        self.contents -= passed.iter().filter(|waiting| matches!(waiting, Waiting::Content(_))).count();
        passed.into_iter().filter_map(Waiting::order)
    }

    /// All of them, when no content is on its way.
    pub fn free(&mut self) -> impl Iterator<Item = Order> {
        let free = if self.contents == 0 { std::mem::take(&mut self.waiting) } else { VecDeque::new() };
        free.into_iter().filter_map(Waiting::order)
    }
}

impl Waiting {
    fn order(self) -> Option<Order> {
        match self {
            Waiting::Order(order) => Some(order),
            Waiting::Content(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::message::Body;

    fn order(ticket: Ticket) -> Order {
        Order { ticket, path: "x".into(), old: None, new: None, body: Body::None }
    }

    fn tickets(orders: impl Iterator<Item = Order>) -> Vec<Ticket> {
        orders.map(|order| order.ticket).collect()
    }

    #[test]
    fn orders_wait_for_the_content_before_them_and_for_no_other() {
        let mut outgoing = Outgoing::default();
        outgoing.put(order(1));
        assert_eq!(tickets(outgoing.free()), [1]);
        outgoing.put(order(2));
        outgoing.expect(3);
        outgoing.put(order(4));
        outgoing.expect(5);
        outgoing.expect(6);
        outgoing.put(order(7));
        assert_eq!(tickets(outgoing.free()), [0; 0]);
        assert_eq!(tickets(outgoing.came(3)), [2]);
        assert_eq!(tickets(outgoing.came(9)), [0; 0]);
        // One that was passed over is waited for no more.
        assert_eq!(tickets(outgoing.came(6)), [4]);
        assert_eq!(tickets(outgoing.came(5)), [0; 0]);
        assert_eq!(tickets(outgoing.free()), [7]);
        assert_eq!(tickets(outgoing.free()), [0; 0]);
    }
}

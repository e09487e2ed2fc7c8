//! Steps that wait for their turn.

use super::reconcile::{Side, Step};
use std::collections::VecDeque;

/// A queue with fewer places than this keeps them when they are free.
const FEW: usize = 1024;

/// Steps of both sides: those put first, then those of this side, then the other's. It takes a plan's own lists, since
/// those of a first copy are long.
#[derive(Default)]
pub struct Queue {
    first: VecDeque<(Side, Step)>,
    here: VecDeque<Step>,
    there: VecDeque<Step>,
}

impl Queue {
    /// The next one.
    pub fn pop(&mut self) -> Option<(Side, Step)> {
        let next = self.first.pop_front();
        let next = next.or_else(|| self.here.pop_front().map(|step| (Side::Here, step)));
        let next = next.or_else(|| self.there.pop_front().map(|step| (Side::There, step)));
        [&mut self.here, &mut self.there].into_iter().for_each(give_back);
        next
    }

    /// The one that is next.
    pub fn peek(&self) -> Option<&Step> {
        self.steps().next()
    }

    /// Puts one before all others.
    pub fn put_first(&mut self, side: Side, step: Step) {
        self.first.push_front((side, step));
    }

    /// Adds steps of a side behind its others.
    pub fn put(&mut self, side: Side, mut steps: Vec<Step>) {
        steps.shrink_to_fit();
        let own = self.of(side);
        if own.is_empty() {
            *own = steps.into();
        } else {
            own.extend(steps);
        }
    }

    /// Puts those that `is_first` before all others, in the order they have.
    pub fn prefer(&mut self, is_first: impl Fn(&Step) -> bool) {
        for side in [Side::Here, Side::There] {
            let (first, then): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(self.of(side)).into_iter().partition(&is_first);
            self.first.extend(first.into_iter().map(|step| (side, step)));
            *self.of(side) = then;
        }
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.first.iter().map(|(_, step)| step).chain(&self.here).chain(&self.there)
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.here.len() + self.there.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(&mut self, side: Side) -> &mut VecDeque<Step> {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }
}

/// Gives memory back that is not needed any more.
fn give_back(steps: &mut VecDeque<Step>) {
    if steps.capacity() > FEW && steps.len() < steps.capacity() / 2 {
        steps.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str) -> Step {
        Step { path: path.into(), old: None, new: None, from: None }
    }

    #[test]
    fn what_is_preferred_goes_before_both_sides_and_memory_comes_back() {
        let mut queue = Queue::default();
        queue.put(Side::There, vec![step("a"), step("b"), step("c")]);
        queue.put(Side::Here, vec![step("x"), step("y")]);
        queue.prefer(|step| ["c", "y"].map(Into::into).contains(&step.path));
        queue.put_first(Side::There, step("again"));
        assert_eq!(queue.peek(), Some(&step("again")));
        let all: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|(_, step)| step.path.to_string()).collect();
        assert_eq!(all, ["again", "y", "c", "x", "a", "b"]);
        queue.put(Side::There, vec![step("a"); 5000]);
        (0..4900).for_each(|_| drop(queue.pop()));
        assert_eq!(queue.len(), 100);
        assert!(queue.there.capacity() <= FEW);
    }
}

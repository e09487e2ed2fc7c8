//! What was agreed on and may not be on a side's disk yet. If that side's computer goes down, what it has at these paths
//! afterwards is no edit of anybody.

use super::message::Ticket;
use super::reconcile::{PerSide, Side};
use super::store::Agreement;
use std::collections::{BTreeMap, HashSet};

/// A list that is longer is looked through for what was agreed on again later: it would grow with every edit of one
/// file.
const LONG: usize = 1 << 16;

/// For both sides: nearly all of it is on the disk of neither.
#[derive(Debug)]
pub struct Unsettled {
    /// As it was agreed on, the last of a path counts.
    agreed: Vec<Agreement>,
    marks: PerSide<Mark>,
    /// So long it may get before what was agreed on again is taken out.
    limit: usize,
}

/// How far a side is.
#[derive(Debug, Default)]
struct Mark {
    /// All before is on its disk.
    begin: usize,
    /// All before it is writing to disk, and the question to which it will say that it is there.
    asked: Option<(Ticket, usize)>,
}

impl Default for Unsettled {
    fn default() -> Unsettled {
        Unsettled { agreed: Vec::new(), marks: PerSide::default(), limit: LONG }
    }
}

impl Unsettled {
    /// Both sides have this now, in memory at least.
    pub fn add(&mut self, agreement: Agreement) {
        if self.agreed.len() >= self.limit {
            self.forget_old();
        }
        self.agreed.push(agreement);
    }

    /// The side is asked to write all of it to disk.
    pub fn ask(&mut self, side: Side, ticket: Ticket) {
        self.marks.of(side).asked = Some((ticket, self.agreed.len()));
    }

    /// The side said so. Returns whether nothing is left for it.
    pub fn settled(&mut self, side: Side, ticket: Ticket) -> bool {
        let mark = self.marks.of(side);
        if let Some((_, end)) = mark.asked.take_if(|(asked, _)| *asked == ticket) {
            mark.begin = end;
            self.give_back();
        }
        self.is_empty(side)
    }

    /// The side will not answer.
    pub fn put_back(&mut self, side: Side) {
        self.marks.of(side).asked = None;
    }

    /// All of it is on the side's disk, or that does not matter any more.
    pub fn clear(&mut self, side: Side) {
        *self.marks.of(side) = Mark { begin: self.agreed.len(), asked: None };
        self.give_back();
    }

    pub fn is_empty(&mut self, side: Side) -> bool {
        self.marks.of(side).begin == self.agreed.len()
    }

    /// All of it for a side, folders before what is in them.
    pub fn all(&mut self, side: Side) -> Vec<Agreement> {
        let from = self.marks.of(side).begin;
        let latest: BTreeMap<_, _> = self.agreed[from..].iter().map(|(path, leaf)| (path, leaf)).collect();
        latest.into_iter().map(|(path, leaf)| (path.clone(), leaf.clone())).collect()
    }

    /// Takes up what `all` gave for each side: what one of them still needs is always a part of what the other does.
    pub fn restore(kept: PerSide<Vec<Agreement>>) -> Unsettled {
        let PerSide { here, there } = kept;
        let is_here = here.len() < there.len();
        let (part, mut all) = if is_here { (here, there) } else { (there, here) };
        let both: HashSet<_> = part.iter().map(|(path, _)| path.clone()).collect();
        all.retain(|(path, _)| !both.contains(path));
        let mut unsettled = Unsettled::default();
        unsettled.marks.of(if is_here { Side::Here } else { Side::There }).begin = all.len();
        all.extend(part);
        unsettled.agreed = all;
        unsettled
    }

    /// Forgets what is on the disks of both.
    fn give_back(&mut self) {
        let marks = [&mut self.marks.here, &mut self.marks.there];
        let both = marks[0].begin.min(marks[1].begin);
        for mark in marks {
            mark.begin -= both;
            mark.asked.iter_mut().for_each(|(_, end)| *end -= both);
        }
        self.agreed.drain(..both);
        if self.agreed.is_empty() {
            self.agreed = Vec::new();
            self.limit = LONG;
        }
    }

    /// Forgets what was agreed on again later.
    fn forget_old(&mut self) {
        let mut later = HashSet::with_capacity(self.agreed.len());
        let mut is_latest: Vec<bool> = self.agreed.iter().rev().map(|(path, _)| later.insert(path)).collect();
        is_latest.reverse();
        let count = |end: &mut usize| *end = is_latest[..*end].iter().filter(|latest| **latest).count();
        for mark in [&mut self.marks.here, &mut self.marks.there] {
            count(&mut mark.begin);
            mark.asked.iter_mut().for_each(|(_, end)| count(end));
        }
        let mut is_latest = is_latest.iter();
        self.agreed.retain(|_| is_latest.next().is_some_and(|latest| *latest));
        self.limit = LONG.max(2 * self.agreed.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tree::Leaf;

    fn add(unsettled: &mut Unsettled, path: &str, leaf: Option<Leaf>) {
        unsettled.add((path.into(), leaf));
    }

    #[test]
    fn what_came_after_the_question_stays_unsettled() {
        let mut unsettled = Unsettled::default();
        add(&mut unsettled, "b", Some(Leaf::Folder));
        add(&mut unsettled, "a", Some(Leaf::Folder));
        unsettled.ask(Side::Here, 1);
        add(&mut unsettled, "a", None);
        let all: Vec<Agreement> = vec![("a".into(), None), ("b".into(), Some(Leaf::Folder))];
        assert_eq!(unsettled.all(Side::Here), all);
        assert!(!unsettled.settled(Side::Here, 7));
        unsettled.put_back(Side::Here);
        assert!(!unsettled.settled(Side::Here, 1));
        assert_eq!(unsettled.all(Side::Here), all, "asked, and never answered");
        unsettled.ask(Side::Here, 2);
        add(&mut unsettled, "c", None);
        assert!(!unsettled.settled(Side::Here, 2));
        assert_eq!(unsettled.all(Side::Here), [("c".into(), None)]);
        assert_eq!(unsettled.all(Side::There).len(), 3, "the other was never asked");
        unsettled.ask(Side::Here, 3);
        assert!(unsettled.settled(Side::Here, 3));
        unsettled.clear(Side::There);
        assert!(unsettled.is_empty(Side::There) && unsettled.agreed.is_empty());
    }

    #[test]
    fn what_is_agreed_on_again_and_again_takes_no_more_room() {
        let mut unsettled = Unsettled::default();
        add(&mut unsettled, "once", None);
        unsettled.clear(Side::There);
        add(&mut unsettled, "twice", None);
        unsettled.ask(Side::Here, 1);
        (0..10 * LONG).for_each(|_| add(&mut unsettled, "often", Some(Leaf::Folder)));
        assert!(unsettled.agreed.len() <= LONG);
        let often = ("often".into(), Some(Leaf::Folder));
        assert_eq!(unsettled.all(Side::Here), [often.clone(), ("once".into(), None), ("twice".into(), None)]);
        assert_eq!(unsettled.all(Side::There), [often.clone(), ("twice".into(), None)]);
        assert!(!unsettled.settled(Side::Here, 1));
        assert_eq!(unsettled.all(Side::Here), [often]);
    }

    #[test]
    fn what_is_kept_for_each_side_is_taken_up_again() {
        let mut unsettled = Unsettled::default();
        ["c", "a"].iter().for_each(|path| add(&mut unsettled, path, None));
        for side in [Side::Here, Side::There] {
            unsettled.clear(side);
            ["d", "b"].iter().for_each(|path| add(&mut unsettled, path, Some(Leaf::Folder)));
            let kept = [unsettled.all(Side::Here), unsettled.all(Side::There)];
            let [here, there] = kept.clone();
            let mut restored = Unsettled::restore(PerSide { here, there });
            assert_eq!([restored.all(Side::Here), restored.all(Side::There)], kept, "{side:?}");
        }
    }
}

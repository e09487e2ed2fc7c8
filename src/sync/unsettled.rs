//! What was agreed on and may not be on a side's disk yet. If that side's computer goes down, what it has at these paths
//! afterwards is no edit of anybody.

use super::message::Ticket;
use super::path::TreePath;
use super::tree::Leaf;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What both sides agreed on, held once for both.
pub type Kept = (TreePath, Arc<Option<Leaf>>);

type Paths = BTreeMap<TreePath, Arc<Option<Leaf>>>;

/// For one side.
#[derive(Debug, Default)]
pub struct Unsettled {
    paths: Paths,
    /// What the side is writing to disk, and the question to which it will say that it is there.
    asked: Option<(Ticket, Paths)>,
}

impl Unsettled {
    /// Both sides have this now, in memory at least.
    pub fn add(&mut self, path: TreePath, leaf: Arc<Option<Leaf>>) {
        self.paths.insert(path, leaf);
    }

    /// The side is asked to write all of it to disk.
    pub fn ask(&mut self, ticket: Ticket) {
        self.put_back();
        self.asked = Some((ticket, std::mem::take(&mut self.paths)));
    }

    /// The side said so. Returns whether nothing is left.
    pub fn settled(&mut self, ticket: Ticket) -> bool {
        if self.asked.as_ref().is_some_and(|(asked, _)| *asked == ticket) {
            self.asked = None;
        }
        self.is_empty()
    }

    /// The side will not answer.
    pub fn put_back(&mut self) {
        if let Some((_, mut all)) = self.asked.take() {
            all.append(&mut self.paths);
            self.paths = all;
        }
    }

    pub fn clear(&mut self) {
        *self = Unsettled::default();
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.asked.is_none()
    }

    /// All of it, folders before what is in them.
    pub fn all(&self) -> Vec<Kept> {
        let asked = self.asked.iter().flat_map(|(_, asked)| asked).filter(|(path, _)| !self.paths.contains_key(*path));
        let mut all: Vec<Kept> = asked.chain(&self.paths).map(|(path, leaf)| (path.clone(), leaf.clone())).collect();
        all.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_question_stays_unsettled() {
        let add = |unsettled: &mut Unsettled, path: &str, leaf| unsettled.add(path.into(), Arc::new(leaf));
        let mut unsettled = Unsettled::default();
        add(&mut unsettled, "a", Some(Leaf::Folder));
        add(&mut unsettled, "b", Some(Leaf::Folder));
        unsettled.ask(1);
        add(&mut unsettled, "a", None);
        let all: Vec<Kept> = vec![("a".into(), Arc::new(None)), ("b".into(), Arc::new(Some(Leaf::Folder)))];
        assert_eq!(unsettled.all(), all);
        assert!(!unsettled.settled(7));
        unsettled.put_back();
        assert_eq!(unsettled.all(), all, "asked, and never answered");
        unsettled.ask(2);
        add(&mut unsettled, "c", None);
        assert!(!unsettled.settled(2));
        assert_eq!(unsettled.all(), [("c".into(), Arc::new(None))]);
        unsettled.ask(3);
        assert!(unsettled.settled(3));
    }
}

//! Holds back what looks like an accident until a person says that it is meant.

use super::tree::Node;

/// Trees smaller than this may be deleted without a question.
const SMALL_TREE: u64 = 100;
/// A side that holds nothing although so many were agreed on was emptied, or is not what it was.
const EMPTIED_TREE: u64 = 3;

/// Watches over a session.
#[derive(Debug, Default)]
pub struct Guard {
    held: Option<String>,
    /// Somebody said that what is coming is meant.
    accepted: bool,
    /// Deletions since things were last calm: a large one comes in many small batches.
    deleted: u64,
    before: u64,
}

impl Guard {
    /// Whether a plan that deletes so many may be carried out.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&mut self, base: &Node, here: &Node, there: &Node, deletions: u64) -> Result<(), String> {
        let count = base.count() - 1;
        if self.deleted == 0 {
            self.before = count;
        }
        if deletions == 0 || self.accepted {
            return Ok(());
        }
        for (side, place) in [(here, "on this side"), (there, "on the other side")] {
            if side.entries().is_empty() && count >= EMPTIED_TREE {
                return Err(format!("the folder {place} was emptied: that would delete {count} files and folders"));
            }
        }
        let all = self.deleted + deletions;
        if self.before >= SMALL_TREE && all * 2 > self.before {
            return Err(format!("{all} of {} files and folders would be deleted", self.before));
        }
        Ok(())
    }

    /// So many deletions were carried out.
    pub fn add_deleted(&mut self, count: u64) {
        self.deleted += count;
    }

    pub fn hold(&mut self, reason: String) {
        self.held = Some(reason);
    }

    /// Why nothing is done, if so.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// It is meant.
    pub fn accept(&mut self) {
        self.accepted = self.held.take().is_some() || self.accepted;
    }

    /// All is done: what comes now is judged anew.
    pub fn calm(&mut self) {
        *self = Guard { held: self.held.take(), ..Guard::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(count: u32) -> Node {
        let mut root = Node::folder();
        for number in 0..count {
            root.set(&format!("f{number}").as_str().into(), Some(Node::Link(b"x".as_slice().into())));
        }
        root
    }

    #[test]
    fn accidents_wait_and_small_things_do_not() {
        let (big, small, none) = (tree(200), tree(50), tree(0));
        let mut guard = Guard::default();
        assert!(guard.judge(&big, &big, &big, 60).is_ok());
        guard.add_deleted(60);
        assert!(guard.judge(&big, &big, &big, 60).is_err(), "two batches of one accident");
        guard.hold("x".into());
        guard.accept();
        assert!(guard.held().is_none() && guard.judge(&big, &big, &none, 200).is_ok());
        guard.calm();
        assert!(guard.judge(&small, &tree(1), &small, 49).is_ok());
        assert!(guard.judge(&small, &small, &none, 50).is_err());
        assert!(guard.judge(&tree(2), &none, &tree(2), 2).is_ok());
    }
}

//! The part of reconcile for paths where this side always wins.

use super::path::TreePath;
use super::reconcile::{Round, Side, child, has_new, leaf};
use super::tree::{Leaf, Node, names};

impl Round<'_> {
    /// The sides differ at `path` and this one wins. What only the other side has goes when both knew it and it is
    /// unchanged, or, in a `mirror`, always.
    pub(super) fn go_one_way(
        &mut self,
        path: &TreePath,
        base: Option<&Node>,
        here: Option<&Node>,
        there: Option<&Node>,
        mirror: bool,
    ) -> bool {
        match (here, there) {
            (None, Some(extra)) => self.remove_extra(path, base, extra, mirror),
            (Some(own), Some(other @ Node::Folder(_))) => {
                if other.has_apart() || (has_new(there, base) && !mirror) {
                    return self.conflict(path);
                }
                self.delete(Side::There, path, other);
                self.create(Side::There, path, own, None);
                true
            }
            (Some(own), other) => {
                self.create(Side::There, path, own, leaf(other));
                true
            }
            (None, None) => false,
        }
    }

    fn remove_extra(&mut self, path: &TreePath, base: Option<&Node>, extra: &Node, mirror: bool) -> bool {
        if let Node::Folder(_) = extra {
            let mut keep = !mirror && !base.is_some_and(Node::is_folder);
            for name in names([Some(extra), None, None]) {
                let inner = extra.child(name);
                let stays = self.go(&path.join(name), child(base, name), None, inner);
                keep |= stays && !matches!(inner, Some(Node::Apart(_)));
            }
            if !keep {
                self.push(Side::There, path, Some(Leaf::Folder), None);
            }
            return keep;
        }
        let goes = mirror || extra.leaf() == leaf(base);
        if goes {
            self.push(Side::There, path, extra.leaf(), None);
        }
        !goes
    }
}

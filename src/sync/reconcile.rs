//! What has to be done so that two trees become one, given what both last agreed on. Pure.
//!
//! Per path: equal is agreed; where one side is as it was, the other wins; a deletion loses against a change; where both
//! changed, neither is touched. What stays apart freezes its path and nothing else: a folder that holds nothing but what
//! stays apart counts as absent, unless the other side has a folder there.

use super::path::TreePath;
use super::tree::{Leaf, Node, names};
use crate::model::sync::SyncDirection;

/// One of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Here,
    There,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Here => Side::There,
            Side::There => Side::Here,
        }
    }
}

/// Something for each side.
#[derive(Debug, Default)]
pub struct PerSide<T> {
    pub here: T,
    pub there: T,
}

impl<T> PerSide<T> {
    pub fn of(&mut self, side: Side) -> &mut T {
        match side {
            Side::Here => &mut self.here,
            Side::There => &mut self.there,
        }
    }
}

/// One step on one side. `old` must still be there when it is done; what is below a folder is not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub path: TreePath,
    pub old: Option<Leaf>,
    pub new: Option<Leaf>,
    /// What is to stand at `path` stands here now, under a name that is the same to that side's file system.
    pub from: Option<TreePath>,
}

impl Step {
    /// Whether it leaves a folder.
    pub fn is_folder(&self) -> bool {
        self.new == Some(Leaf::Folder)
    }
}

/// What a round has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub here: Vec<Step>,
    pub there: Vec<Step>,
    /// Both sides have it: it is only to be remembered.
    pub agreed: Vec<Step>,
    pub conflicts: Vec<TreePath>,
}

/// Which way changes of a path go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Session(SyncDirection),
    /// To the other side only, and what the other side changes by itself stays as it is there.
    NotBack,
}

/// Which way changes go, path by path.
pub type Directions<'a> = &'a dyn Fn(&TreePath) -> Way;

/// Plans a round.
pub fn reconcile(base: &Node, here: &Node, there: &Node, directions: Directions<'_>) -> Plan {
    let mut round = Round { plan: Plan::default(), directions };
    round.go(&TreePath::root(), Some(base), Some(here), Some(there));
    round.plan
}

/// Whether a folder holds nothing but what stays apart, and is not one both sides know.
pub fn is_phantom(node: Option<&Node>, base: Option<&Node>) -> bool {
    let Some(node @ Node::Folder(_)) = node else { return false };
    !base.is_some_and(Node::is_folder)
        && !node.entries().is_empty()
        && node.entries().iter().all(|(_, child)| matches!(child, Node::Apart(_)) || is_phantom(Some(child), None))
}

pub(super) fn leaf(node: Option<&Node>) -> Option<Leaf> {
    node.and_then(Node::leaf)
}

pub(super) fn child<'a>(node: Option<&'a Node>, name: &[u8]) -> Option<&'a Node> {
    node.and_then(|node| node.child(name))
}

/// Whether it holds anything new or changed; deletions do not count.
pub(super) fn has_new(node: Option<&Node>, base: Option<&Node>) -> bool {
    match node {
        None | Some(Node::Apart(_)) => false,
        Some(node) if base.is_some_and(|base| base.is_shared_with(node)) => false,
        Some(node) if is_phantom(Some(node), base) => false,
        Some(node) if node.leaf() != leaf(base) => true,
        Some(node) => node.entries().iter().any(|(name, inner)| has_new(Some(inner), child(base, name))),
    }
}

pub(super) struct Round<'a> {
    pub(super) plan: Plan,
    pub(super) directions: Directions<'a>,
}

impl Round<'_> {
    pub(super) fn push(&mut self, side: Side, path: &TreePath, old: Option<Leaf>, new: Option<Leaf>) {
        self.steps(side).push(Step { path: path.clone(), old, new, from: None });
    }

    pub(super) fn steps(&mut self, side: Side) -> &mut Vec<Step> {
        match side {
            Side::Here => &mut self.plan.here,
            Side::There => &mut self.plan.there,
        }
    }

    pub(super) fn conflict(&mut self, path: &TreePath) -> bool {
        self.plan.conflicts.push(path.clone());
        true
    }

    /// Deletes all of `node` on a side, what is inside first.
    pub(super) fn delete(&mut self, side: Side, path: &TreePath, node: &Node) {
        for (name, inner) in node.entries() {
            if !matches!(inner, Node::Apart(_)) {
                self.delete(side, &path.join(name), inner);
            }
        }
        self.push(side, path, node.leaf(), None);
    }

    /// Makes all of `node` on a side.
    pub(super) fn create(&mut self, side: Side, path: &TreePath, node: &Node, old: Option<Leaf>) {
        if matches!(node, Node::Apart(_)) || is_phantom(Some(node), None) {
            return;
        }
        // What is in a new folder may be nobody's to bring here all the same.
        if side == Side::Here && (self.directions)(path) == Way::NotBack {
            return;
        }
        self.push(side, path, old, node.leaf());
        for (name, inner) in node.entries() {
            self.create(side, &path.join(name), inner, None);
        }
    }

    /// Returns whether something stays at `path`, on either side, that keeps the folder around it.
    pub(super) fn go(
        &mut self,
        path: &TreePath,
        base: Option<&Node>,
        here: Option<&Node>,
        there: Option<&Node>,
    ) -> bool {
        if let (Some(base), Some(here), Some(there)) = (base, here, there)
            && base.is_shared_with(here)
            && here.is_shared_with(there)
        {
            return true;
        }
        // What stays apart freezes its path: what both agreed on is kept.
        if matches!(here, Some(Node::Apart(_))) || matches!(there, Some(Node::Apart(_))) {
            return true;
        }
        let (phantom_here, phantom_there) = (is_phantom(here, base), is_phantom(there, base));
        if phantom_here != phantom_there {
            let other = if phantom_here { there } else { here };
            if !matches!(leaf(other), Some(Leaf::Folder) | None) {
                return self.conflict(path);
            }
        }
        let both_folders =
            here.is_some_and(Node::is_folder) && there.is_some_and(Node::is_folder) && !(phantom_here && phantom_there);
        let here = here.filter(|_| !phantom_here || both_folders);
        let there = there.filter(|_| !phantom_there || both_folders);
        let (was, own, other) = (leaf(base), leaf(here), leaf(there));
        if own == other {
            if own != was {
                self.plan.agreed.push(Step { path: path.clone(), old: was, new: own.clone(), from: None });
            }
            let base = base.filter(|_| own == Some(Leaf::Folder));
            for name in names([base, here, there]) {
                self.go(&path.join(name), child(base, name), child(here, name), child(there, name));
            }
            return own.is_some();
        }
        match (self.directions)(path) {
            Way::Session(SyncDirection::TwoWay) => self.go_two_way(path, base, here, there),
            Way::NotBack if own == was => true,
            Way::NotBack | Way::Session(SyncDirection::OneWay) => self.go_one_way(path, base, here, there, false),
            Way::Session(SyncDirection::Mirror) => self.go_one_way(path, base, here, there, true),
        }
    }

    fn go_two_way(&mut self, path: &TreePath, base: Option<&Node>, here: Option<&Node>, there: Option<&Node>) -> bool {
        let (was, own, other) = (leaf(base), leaf(here), leaf(there));
        // The side that is written is the one that is as it was; if both changed, the one that only deleted.
        let side = if own == was {
            Side::Here
        } else if other == was {
            Side::There
        } else if here.is_none() {
            Side::Here
        } else if there.is_none() {
            Side::There
        } else {
            return self.conflict(path);
        };
        let (written, winner) = if side == Side::Here { (here, there) } else { (there, here) };
        let old = leaf(written);
        match (written, winner) {
            (Some(folder @ Node::Folder(_)), None) if old == was => self.remove_unchanged(side, path, base, folder),
            (Some(folder @ Node::Folder(_)), Some(winner)) if old == was => {
                if has_new(written, base) || folder.has_apart() {
                    return self.conflict(path);
                }
                self.delete(side, path, folder);
                self.create(side, path, winner, None);
                true
            }
            (_, None) => {
                self.push(side, path, old, None);
                false
            }
            (_, Some(winner)) => {
                self.create(side, path, winner, old);
                true
            }
        }
    }

    /// The other side removed a folder that stands here as both knew it: what changed in it survives, on both sides.
    fn remove_unchanged(&mut self, side: Side, path: &TreePath, base: Option<&Node>, folder: &Node) -> bool {
        let other = side.other();
        // The folder has to be made again on the other side before what survives in it.
        let at = self.steps(other).len();
        let mut keep = false;
        for name in names([base, Some(folder), None]) {
            let inner = folder.child(name);
            let (here, there) = if side == Side::Here { (inner, None) } else { (None, inner) };
            let stays = self.go(&path.join(name), child(base, name), here, there);
            keep |= stays && !matches!(inner, Some(Node::Apart(_)));
        }
        if keep {
            let step = Step { path: path.clone(), old: None, new: Some(Leaf::Folder), from: None };
            self.steps(other).insert(at, step);
            return true;
        }
        self.push(side, path, Some(Leaf::Folder), None);
        false
    }
}

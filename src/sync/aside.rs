//! A new folder is put together in the stage, with all that came for it, and takes its place in one step: that takes
//! fewer system calls than file by file, and nobody sees it half full.

use super::apply::{Not, Step, place_new};
use super::message::{Body, Order, Outcome};
use super::path::TreePath;
use super::replica::Replica;
use super::scan::node_of;
use super::tree::{Leaf, Node};
use crate::sys::folder::Folder;
use std::sync::Arc;

/// What is made in a folder that is not in the tree yet: the node, or why there is none.
type Made = Vec<Step<Node>>;

impl Replica {
    /// Does the orders at the beginning of `orders` together, if they make a new folder and something in it. Gives what
    /// became of each of them; `None`: nothing was done, and each has to be done by itself.
    pub(super) fn put_together(&mut self, orders: &[Order]) -> Option<Vec<Outcome>> {
        let orders = &orders[..count_together(orders)];
        let (parent, name) = orders.first()?.path.split()?;
        // Where names are folded, a folder may have to be made in its place to fold names as the one it is in.
        if self.rules.folds() || self.tree.get(&orders[0].path).is_some() {
            return None;
        }
        let parent = self.walk(&parent).ok()?;
        // The same goes for one that hands its group down.
        if parent.facts().ok()?.hands_group_down {
            return None;
        }
        let aside = self.next_name();
        let placed = self
            .make_aside(&aside, orders)
            .and_then(|made| place_new(&self.stage, &aside, &parent, name).map(|()| made));
        let Ok(made) = placed else {
            discard(&self.stage, &aside);
            return None;
        };
        Some(orders.iter().zip(made).map(|(order, made)| self.take_made(order, made)).collect())
    }

    fn take_made(&mut self, order: &Order, made: Step<Node>) -> Outcome {
        match made {
            Ok(node) => {
                self.tree.set(&order.path, Some(node));
                Outcome::Done
            }
            Err(not) => not.into(),
        }
    }

    /// Makes the first order's folder in the stage, and what the others say in it.
    fn make_aside(&mut self, aside: &[u8], orders: &[Order]) -> Step<Made> {
        let first = orders.first().ok_or(Not::Refused)?;
        self.expect_to_cross(first)?;
        let mut made = vec![Ok(self.make_folder(&self.stage, aside)?)];
        // The folders above the one that is worked in, and that one.
        let mut open: Vec<(&TreePath, Arc<Folder>)> = vec![(&first.path, Arc::new(self.stage.enter(aside)?))];
        for order in &orders[1..] {
            made.push(self.make_within(&mut open, order));
        }
        Ok(made)
    }

    fn make_within<'a>(&mut self, open: &mut Vec<(&'a TreePath, Arc<Folder>)>, order: &'a Order) -> Step<Node> {
        self.expect_to_cross(order)?;
        let (parent, name) = order.path.split().ok_or(Not::Refused)?;
        while open.pop_if(|(path, _)| !parent.is_within(path)).is_some() {}
        // One that could not be made has nothing in it.
        let (_, at) = open.last().filter(|(path, _)| **path == parent).ok_or(Not::Refused)?;
        let at = at.clone();
        let leaf = order.new.as_ref().ok_or(Not::Refused)?;
        if *leaf == Leaf::Folder {
            let node = self.make_folder(&at, name)?;
            open.push((&order.path, Arc::new(at.enter(name)?)));
            return Ok(node);
        }
        let laid = self.lay(&at, name, order, leaf, false);
        if laid.is_err() {
            let _ = at.unlink(name);
        }
        Ok(match (leaf, laid?) {
            (Leaf::File(file), Some(laid)) => node_of(file.hash, &laid.facts),
            _ => Node::from(leaf),
        })
    }
}

/// How many orders, from the first on, make a new folder and what is in it; none if that is not worth it.
fn count_together(orders: &[Order]) -> usize {
    let Some(first) = orders.first().filter(|first| is_new(first) && first.new == Some(Leaf::Folder)) else { return 0 };
    let inner = orders[1..].iter().take_while(|order| is_new(order) && order.path.is_within(&first.path)).count();
    if inner == 0 { 0 } else { inner + 1 }
}

/// Whether something is made where nothing is, with nothing to wait for.
fn is_new(order: &Order) -> bool {
    let is_whole = matches!(
        (&order.new, &order.body),
        (Some(Leaf::File(_)), Body::Inline(_) | Body::Own(_)) | (Some(Leaf::Folder | Leaf::Link(_)), Body::None)
    );
    is_whole && order.old.is_none()
}

/// Removes what a crash left half-made; the parts of large files stay, to go on with.
pub(super) fn empty_stage(stage: &Folder) {
    for name in stage.names().unwrap_or_default() {
        if !name.ends_with(b".part") {
            discard(stage, &name);
        }
    }
}

/// Removes a file, link or folder of the stage.
fn discard(stage: &Folder, name: &[u8]) {
    if stage.unlink(name).is_ok() {
        return;
    }
    if let Ok(folder) = stage.enter(name) {
        folder.names().unwrap_or_default().iter().for_each(|inner| discard(&folder, inner));
        let _ = stage.remove_folder(name);
    }
}

//! A side whose file system keeps no permission bits takes those that the other side has.

use super::tree::{File, Folder, Name, Node};
use std::sync::Arc;

/// What a file of such a side has until the other side has it: readable by all, run by nobody.
pub const UNKNOWN_MODE: u16 = 0o644;

/// Gives each file of `tree` the mode it has in `other`, else the one in `base`.
pub fn adopt_modes(tree: &mut Node, other: Option<&Node>, base: Option<&Node>) {
    let Node::Folder(own) = &*tree else { return };
    let mut changed: Vec<(Name, Node)> = Vec::new();
    for (name, node) in own.entries() {
        let inner = |from: Option<&Node>| from.and_then(|from| from.child(name)).cloned();
        let (theirs, agreed) = (inner(other), inner(base));
        match node {
            Node::File(file, stamp) => {
                if let Some(Node::File(known, _)) = [theirs, agreed].iter().flatten().find(|node| node.is_file())
                    && known.mode != file.mode
                {
                    changed.push((name.clone(), Node::File(File { mode: known.mode, ..*file }, *stamp)));
                }
            }
            Node::Folder(_) if theirs.as_ref().is_none_or(|theirs| !theirs.is_shared_with(node)) => {
                let mut new = node.clone();
                adopt_modes(&mut new, theirs.as_ref(), agreed.as_ref());
                if !new.is_shared_with(node) {
                    changed.push((name.clone(), new));
                }
            }
            _ => {}
        }
    }
    if changed.is_empty() {
        return;
    }
    let mut folder: Folder = (**own).clone();
    for (name, node) in changed {
        folder.set(&name, Some(node));
    }
    *tree = Node::Folder(Arc::new(folder));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tree::{Leaf, Stamp};

    fn file(byte: u8, mode: u16) -> Node {
        Node::File(File { hash: [byte; 32], size_bytes: 1, mode, modified_nanoseconds: 0 }, Stamp::default())
    }

    #[test]
    fn modes_come_from_the_other_side_and_then_from_what_was_agreed() {
        let mut here = Node::folder();
        here.set(&"a".into(), Some(Node::folder()));
        for (path, node) in [("a/theirs", file(1, 0o755)), ("a/link", Node::Link(b"x".as_slice().into()))] {
            here.set(&path.into(), Some(node));
        }
        let mut base = here.clone();
        base.set(&"agreed".into(), Some(file(1, 0o700)));
        let mut there = Node::folder();
        there.set(&"a".into(), Some(Node::folder()));
        for path in ["a/theirs", "a/link", "agreed", "new"] {
            there.set(&path.into(), Some(file(2, UNKNOWN_MODE)));
        }
        adopt_modes(&mut there, Some(&here), Some(&base));
        let mode = |path: &str| match there.get(&path.into()).and_then(Node::leaf) {
            Some(Leaf::File(file)) => file.mode,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(["a/theirs", "a/link", "agreed", "new"].map(mode), [0o755, 0o644, 0o700, 0o644]);
        let again = there.clone();
        adopt_modes(&mut there, Some(&here), Some(&base));
        assert!(there.is_shared_with(&again));
    }
}

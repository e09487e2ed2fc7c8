//! A tree of files as data. Folders are shared between trees that are equal, so a copy costs nothing and what is the
//! same is seen at a glance.

use super::path::{Blob, TreePath, hash_bytes, shared_bytes};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// BLAKE3 of a file's content.
pub type Hash = [u8; 32];

/// A name in a folder.
pub type Name = Arc<[u8]>;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    File(File, Stamp),
    /// A symlink and what it points to, never followed.
    Link(#[serde(with = "shared_bytes")] Arc<[u8]>),
    Folder(#[serde(with = "shared_folder")] Arc<Folder>),
    /// Something that stays on its side: nothing at or below it is touched.
    Apart(Apart),
}

/// A file as both sides know it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct File {
    #[serde(with = "hash_bytes")]
    pub hash: Hash,
    pub size_bytes: u64,
    /// The nine permission bits.
    pub mode: u16,
    /// Since 1970. Not part of equality: it travels with content.
    pub modified_nanoseconds: i64,
}

/// By which a side recognises a file that it has read, without reading it again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// Zero: it changed so shortly before it was read that a later change could look the same.
    pub changed_nanoseconds: i64,
    pub inode: u64,
}

/// Why something stays apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Apart {
    /// A pattern says so.
    Ignored,
    /// Socket, device, pipe.
    Special,
    /// This user may not read it.
    Unreadable,
    /// Another file system is mounted there.
    Mounted,
    /// It changed every time it was read.
    Busy,
}

/// What a folder holds, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    entries: Vec<(Name, Node)>,
}

/// Written and read without a second copy of the tree in between.
mod shared_folder {
    use super::{Arc, Folder, Name, Node, shared_bytes};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    struct Read(#[serde(with = "shared_bytes")] Name, Node);

    #[derive(Serialize)]
    struct Written<'a>(#[serde(serialize_with = "shared_bytes::serialize")] &'a Name, &'a Node);

    pub fn serialize<S: Serializer>(folder: &Arc<Folder>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(folder.entries.iter().map(|(name, node)| Written(name, node)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Folder>, D::Error> {
        let entries: Vec<Read> = Vec::deserialize(from)?;
        Ok(Arc::new(Folder::of(entries.into_iter().map(|Read(name, node)| (name, node)).collect())))
    }
}

/// What an operation sees at a path: as `Node`, without what is below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leaf {
    File(File),
    Link(Blob),
    Folder,
}

/// One thing that is different from what was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: TreePath,
    pub now: Now,
}

/// What a changed path is now. `Leaf(Folder)` over a folder keeps what is in it; everything else replaces all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Now {
    Gone,
    Leaf(Leaf),
    Apart(Apart),
}

impl PartialEq for File {
    fn eq(&self, other: &File) -> bool {
        self.hash == other.hash && self.mode == other.mode
    }
}

impl Eq for File {}

impl PartialEq for Stamp {
    /// A stamp says nothing about what a file is.
    fn eq(&self, _: &Stamp) -> bool {
        true
    }
}

impl Eq for Stamp {}

impl Node {
    /// An empty folder.
    pub fn folder() -> Node {
        Node::Folder(Arc::default())
    }

    /// What an operation sees; `None` for what stays apart.
    pub fn leaf(&self) -> Option<Leaf> {
        match self {
            Node::File(file, _) => Some(Leaf::File(*file)),
            Node::Link(target) => Some(Leaf::Link(Blob(target.to_vec()))),
            Node::Folder(_) => Some(Leaf::Folder),
            Node::Apart(_) => None,
        }
    }

    /// What it holds, if it is a folder.
    pub fn entries(&self) -> &[(Name, Node)] {
        match self {
            Node::Folder(folder) => &folder.entries,
            _ => &[],
        }
    }

    /// What has this name in it.
    pub fn child(&self, name: &[u8]) -> Option<&Node> {
        match self {
            Node::Folder(folder) => folder.get(name),
            _ => None,
        }
    }

    pub fn is_file(&self) -> bool {
        matches!(self, Node::File(..))
    }

    pub fn is_folder(&self) -> bool {
        matches!(self, Node::Folder(_))
    }

    /// Whether something in or at it stays apart.
    pub fn has_apart(&self) -> bool {
        match self {
            Node::Apart(_) => true,
            _ => self.entries().iter().any(|(_, child)| child.has_apart()),
        }
    }

    /// Files, folders and links at and below it.
    pub fn count(&self) -> u64 {
        match self {
            Node::Apart(_) => 0,
            _ => 1 + self.entries().iter().map(|(_, child)| child.count()).sum::<u64>(),
        }
    }

    /// Makes files that changed since then (nanoseconds since 1970) be read again.
    pub fn forget_stamps_since(&mut self, nanoseconds: i64) {
        match self {
            Node::File(_, stamp) if stamp.changed_nanoseconds >= nanoseconds => *stamp = Stamp::default(),
            Node::Folder(folder) => {
                let inner = &mut Arc::make_mut(folder).entries;
                inner.iter_mut().for_each(|(_, child)| child.forget_stamps_since(nanoseconds));
            }
            _ => {}
        }
    }

    /// Whether it is the very same memory as `other`, which is quicker to say than that they are equal.
    pub fn is_shared_with(&self, other: &Node) -> bool {
        matches!((self, other), (Node::Folder(one), Node::Folder(two)) if Arc::ptr_eq(one, two))
    }

    /// The node at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        path.parts().try_fold(self, |node, name| node.child(name))
    }

    /// Puts `node` at `path`, or removes what is there. Nothing happens where there is no folder to put it in; the root
    /// is replaced by a folder only.
    pub fn set(&mut self, path: &TreePath, node: Option<Node>) {
        let Some((parent, name)) = path.split() else {
            if let Some(root @ Node::Folder(_)) = node {
                *self = root;
            }
            return;
        };
        let mut at = self;
        for part in parent.parts() {
            let Node::Folder(folder) = at else { return };
            // Looked up first: what is shared is copied only when it will be changed.
            if folder.get(part).is_none_or(|child| !child.is_folder()) {
                return;
            }
            let Some(child) = Arc::make_mut(folder).get_mut(part) else { return };
            at = child;
        }
        if let Node::Folder(folder) = at {
            Arc::make_mut(folder).set(name, node);
        }
    }

    /// Makes `leaf` what an operation left at `path`: a folder keeps what it holds.
    pub fn set_leaf(&mut self, path: &TreePath, leaf: Option<&Leaf>) {
        let is_folder = self.get(path).is_some_and(Node::is_folder);
        match leaf {
            Some(Leaf::Folder) if is_folder => {}
            _ => self.set(path, leaf.map(Node::from)),
        }
    }

    /// Takes in a change that the side reported.
    pub fn take(&mut self, change: &Change) {
        match &change.now {
            Now::Gone => self.set(&change.path, None),
            Now::Apart(why) => self.set(&change.path, Some(Node::Apart(*why))),
            Now::Leaf(Leaf::Folder) if self.get(&change.path).is_some_and(Node::is_folder) => {}
            Now::Leaf(leaf) => self.set(&change.path, Some(Node::from(leaf))),
        }
    }
}

impl Now {
    /// Whether it says what is known.
    pub fn says(&self, known: Option<&Node>) -> bool {
        match (known, self) {
            (None, Now::Gone) => true,
            (Some(Node::Apart(known)), Now::Apart(why)) => known == why,
            (Some(node), Now::Leaf(leaf)) => node.leaf().as_ref() == Some(leaf),
            _ => false,
        }
    }
}

impl From<&Leaf> for Node {
    fn from(leaf: &Leaf) -> Node {
        match leaf {
            Leaf::File(file) => Node::File(*file, Stamp::default()),
            Leaf::Link(target) => Node::Link(target.0.as_slice().into()),
            Leaf::Folder => Node::folder(),
        }
    }
}

impl Folder {
    /// A folder of these entries, in any order.
    pub fn of(mut entries: Vec<(Name, Node)>) -> Folder {
        entries.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        entries.shrink_to_fit();
        Folder { entries }
    }

    pub fn entries(&self) -> &[(Name, Node)] {
        &self.entries
    }

    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        self.find(name).ok().map(|at| &self.entries[at].1)
    }

    fn get_mut(&mut self, name: &[u8]) -> Option<&mut Node> {
        self.find(name).ok().map(|at| &mut self.entries[at].1)
    }

    /// Puts `node` under `name`, or removes what is there.
    pub fn set(&mut self, name: &[u8], node: Option<Node>) {
        match (self.find(name), node) {
            (Ok(at), Some(node)) => self.entries[at].1 = node,
            (Ok(at), None) => drop(self.entries.remove(at)),
            (Err(at), Some(node)) => self.entries.insert(at, (name.into(), node)),
            (Err(_), None) => {}
        }
    }

    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        // Trees are filled in order, so the end is the likeliest place.
        match self.entries.last() {
            Some((last, _)) if **last < *name => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(own, _)| (**own).cmp(name)),
        }
    }
}

/// What has to be said so that somebody who knows `old` knows `new`; parents before what is in them.
pub fn differences(path: &TreePath, old: Option<&Node>, new: Option<&Node>, into: &mut Vec<Change>) {
    each_difference(path, old, new, &mut |change| into.push(change));
}

/// Says the same one by one: of a large tree all together take as much memory as it does.
pub fn each_difference(path: &TreePath, old: Option<&Node>, new: Option<&Node>, say: &mut dyn FnMut(Change)) {
    let (old, new) = match (old, new) {
        (None, None) => return,
        (Some(_), None) => return say(Change { path: path.clone(), now: Now::Gone }),
        (old, Some(new)) => (old, new),
    };
    match (old, new) {
        (Some(old), new) if old.is_shared_with(new) => {}
        (Some(old @ Node::Folder(_)), Node::Folder(_)) => {
            for (name, old, new) in paired(old.entries(), new.entries()) {
                // What is as it was needs no path.
                if old.zip(new).is_none_or(|(old, new)| old.is_folder() || old != new) {
                    each_difference(&path.join(name), old, new, say);
                }
            }
        }
        (_, Node::Folder(folder)) => {
            say(Change { path: path.clone(), now: Now::Leaf(Leaf::Folder) });
            for (name, child) in folder.entries() {
                each_difference(&path.join(name), None, Some(child), say);
            }
        }
        (Some(old), new) if old == new => {}
        (_, Node::Apart(why)) => say(Change { path: path.clone(), now: Now::Apart(*why) }),
        (_, new) => new.leaf().into_iter().for_each(|leaf| say(Change { path: path.clone(), now: Now::Leaf(leaf) })),
    }
}

/// Each name of two folders once, sorted, and what it stands for in each.
fn paired<'a>(
    mut one: &'a [(Name, Node)],
    mut two: &'a [(Name, Node)],
) -> impl Iterator<Item = (&'a Name, Option<&'a Node>, Option<&'a Node>)> {
    std::iter::from_fn(move || {
        let (first, second) = (one.first(), two.first());
        let order = match (first, second) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((two, _))) => one.cmp(two),
        };
        let first = first.filter(|_| order.is_le());
        let second = second.filter(|_| order.is_ge());
        one = &one[usize::from(first.is_some())..];
        two = &two[usize::from(second.is_some())..];
        let name = &first.or(second)?.0;
        Some((name, first.map(|(_, node)| node), second.map(|(_, node)| node)))
    })
}

/// The names that any of these folders has, sorted, each once.
pub fn names(nodes: [Option<&Node>; 3]) -> Vec<&[u8]> {
    let mut names: Vec<&[u8]> =
        nodes.into_iter().flatten().flat_map(|node| node.entries().iter().map(|(name, _)| &**name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Makes equal folders of the three trees one folder in memory. Returns whether all three are now one.
pub fn share(base: &mut Node, here: &mut Node, there: &mut Node) -> bool {
    if base.is_shared_with(here) && here.is_shared_with(there) {
        return true;
    }
    let (Node::Folder(one), Node::Folder(two), Node::Folder(three)) = (&mut *base, &mut *here, &mut *there) else {
        return base == here && here == there;
    };
    let mut same = one.entries.len() == two.entries.len() && two.entries.len() == three.entries.len();
    let inner: Vec<Name> =
        one.entries.iter().filter(|(_, node)| node.is_folder()).map(|(name, _)| name.clone()).collect();
    for name in inner {
        let all = (one.get(&name), two.get(&name), three.get(&name));
        let (Some(Node::Folder(a)), Some(Node::Folder(b)), Some(Node::Folder(c))) = all else { continue };
        if Arc::ptr_eq(a, b) && Arc::ptr_eq(b, c) {
            continue;
        }
        let found =
            (Arc::make_mut(one).get_mut(&name), Arc::make_mut(two).get_mut(&name), Arc::make_mut(three).get_mut(&name));
        if let (Some(a), Some(b), Some(c)) = found {
            same &= share(a, b, c);
        }
    }
    same = same
        && one.entries.iter().zip(&two.entries).zip(&three.entries).all(|((a, b), c)| {
            let alike = |x: &Node, y: &Node| if x.is_folder() { x.is_shared_with(y) } else { x == y };
            a.0 == b.0 && b.0 == c.0 && alike(&a.1, &b.1) && alike(&b.1, &c.1)
        });
    if same {
        *here = base.clone();
        *there = base.clone();
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(byte: u8) -> Leaf {
        Leaf::File(File { hash: [byte; 32], size_bytes: 1, mode: 0o644, modified_nanoseconds: 0 })
    }

    fn tree(paths: &[(&str, Leaf)]) -> Node {
        let mut root = Node::folder();
        for (path, leaf) in paths {
            root.take(&Change { path: (*path).into(), now: Now::Leaf(leaf.clone()) });
        }
        root
    }

    #[test]
    fn differences_told_make_the_same_tree() {
        let old = tree(&[("a", Leaf::Folder), ("a/x", file(1)), ("b", file(2)), ("c", Leaf::Folder)]);
        let new = tree(&[("a", file(1)), ("b", Leaf::Folder), ("b/y", file(3)), ("c", Leaf::Folder), ("c/z", file(4))]);
        let mut told = Vec::new();
        differences(&TreePath::root(), Some(&old), Some(&new), &mut told);
        let mut copy = old;
        told.iter().for_each(|change| copy.take(change));
        assert_eq!(copy, new);
    }

    #[test]
    fn equal_folders_become_one_and_changes_part_them() {
        let parts = [("a", Leaf::Folder), ("a/x", file(1)), ("b", Leaf::Folder), ("b/y", file(2))];
        let (mut base, mut here, mut there) = (tree(&parts), tree(&parts), tree(&parts));
        there.set_leaf(&"b/y".into(), Some(&file(3)));
        assert!(!share(&mut base, &mut here, &mut there));
        assert!(base.child(b"a").unwrap().is_shared_with(there.child(b"a").unwrap()));
        assert!(!base.child(b"b").unwrap().is_shared_with(there.child(b"b").unwrap()));
        there.set_leaf(&"b/y".into(), Some(&file(2)));
        assert!(share(&mut base, &mut here, &mut there));
        here.set_leaf(&"b/y".into(), Some(&file(9)));
        assert_eq!(base.get(&"b/y".into()).and_then(Node::leaf), Some(file(2)));
    }
}

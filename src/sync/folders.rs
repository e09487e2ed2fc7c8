//! Reads folders of the file system into trees of memory, on several threads. A folder in which nothing changed stays
//! the one that is in memory already.

use super::path::TreePath;
use super::scan::{Scanner, not_entered};
use super::tree::{Folder, Name, Node};
use crate::sys::folder;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};

/// More threads than this do not make a disk quicker.
const MOST_THREADS: usize = 4;

/// A folder that waits to be read.
struct Waiting {
    parent: Arc<folder::Folder>,
    path: TreePath,
    old: Option<Node>,
}

/// What a folder turned out to hold.
struct Found {
    /// The folders in it are still empty.
    folder: Folder,
    /// As it was before, if all that may be other now is in the folders in it.
    same: Option<Arc<Folder>>,
}

/// What stands where a folder was: nothing, maybe, or something that is not to be entered.
enum Read {
    Folder(Found),
    Other(Option<Node>),
}

/// A name in a folder that was taken for a folder, and what stands there.
type Inner = (Vec<u8>, Option<Node>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Folders that a thread has in hand.
    open: usize,
    done: Vec<(TreePath, Read)>,
    failed: Option<io::Error>,
}

impl Scanner<'_> {
    /// Reads all below `root`, which is at `path` in the tree; `old` is what is known of it.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn read_all(&self, root: folder::Folder, path: &TreePath, old: Option<&Node>) -> io::Result<Node> {
        let queue = (Mutex::new(Queue { open: 1, ..Queue::default() }), Condvar::new());
        (self.on_folder)(path);
        let (top, inner) = self.read_folder(Arc::new(root), path, old)?;
        {
            let mut first = queue.0.lock().expect("no scan panics");
            first.waiting = inner;
            first.open = 0;
            first.done.push((path.clone(), Read::Folder(top)));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.work(&queue));
            }
            self.work(&queue);
        });
        let queue = queue.0.into_inner().expect("no scan panics");
        match queue.failed {
            Some(error) => Err(error),
            None => Ok(assemble(queue.done)),
        }
    }

    fn work(&self, (queue, changed): &(Mutex<Queue>, Condvar)) {
        let mut lock = queue.lock().expect("no scan panics");
        loop {
            let Some(next) = lock.waiting.pop() else {
                if lock.open == 0 {
                    changed.notify_all();
                    return;
                }
                lock = changed.wait(lock).expect("no scan panics");
                continue;
            };
            lock.open += 1;
            drop(lock);
            let read = self.read_waiting(&next);
            lock = queue.lock().expect("no scan panics");
            lock.open -= 1;
            match read {
                Ok((read, inner)) => {
                    lock.done.push((next.path, read));
                    if !inner.is_empty() {
                        lock.waiting.extend(inner);
                        changed.notify_all();
                    }
                }
                Err(error) => lock.failed = Some(error),
            }
        }
    }

    fn read_waiting(&self, waiting: &Waiting) -> io::Result<(Read, Vec<Waiting>)> {
        let Some((_, name)) = waiting.path.split() else { return Ok((Read::Other(None), Vec::new())) };
        (self.on_folder)(&waiting.path);
        let read = waiting
            .parent
            .enter(name)
            .and_then(|folder| self.read_folder(Arc::new(folder), &waiting.path, waiting.old.as_ref()));
        match read {
            Ok((found, inner)) => Ok((Read::Folder(found), inner)),
            Err(error) => Ok((Read::Other(not_entered(error)?), Vec::new())),
        }
    }

    fn read_folder(
        &self,
        handle: Arc<folder::Folder>,
        path: &TreePath,
        old: Option<&Node>,
    ) -> io::Result<(Found, Vec<Waiting>)> {
        let mut listed = handle.list()?;
        for entry in &mut listed {
            entry.name = self.rules.told(std::mem::take(&mut entry.name));
        }
        listed.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        let mut entries: Vec<(Name, Node)> = Vec::with_capacity(listed.len());
        let mut waiting = Vec::new();
        let mut known = old.map_or(&[][..], Node::entries);
        let mut is_same = known.len() == listed.len();
        for entry in listed {
            known = &known[known.iter().take_while(|(name, _)| **name < *entry.name).count()..];
            let old = known.first().filter(|(name, _)| **name == *entry.name);
            let node = self.read_listed(&handle, path, &entry.name, entry.sort, old.map(|(_, node)| node))?;
            is_same &= node.as_ref().zip(old).is_some_and(|(new, (_, old))| is_as_it_was(new, old));
            let Some(node) = node else { continue };
            if node.is_folder() {
                let old = old.map(|(_, node)| node.clone());
                waiting.push(Waiting { parent: handle.clone(), path: path.join(&entry.name), old });
            }
            entries.push((old.map_or_else(|| entry.name.into(), |(name, _)| name.clone()), node));
        }
        let same = match old {
            Some(Node::Folder(old)) if is_same => Some(old.clone()),
            _ => None,
        };
        Ok((Found { folder: Folder::of(entries), same }, waiting))
    }
}

/// Whether the one may stand for the other, also as what is known of it. What is in folders is not looked at.
fn is_as_it_was(new: &Node, old: &Node) -> bool {
    match (new, old) {
        (Node::File(new, stamp), Node::File(old, known)) => {
            new == old
                && (new.size_bytes, new.modified_nanoseconds) == (old.size_bytes, old.modified_nanoseconds)
                && (stamp.changed_nanoseconds, stamp.inode) == (known.changed_nanoseconds, known.inode)
        }
        (Node::Folder(_), Node::Folder(_)) => true,
        (new, old) => new == old,
    }
}

/// Puts folders, each read by itself, into one tree.
fn assemble(mut done: Vec<(TreePath, Read)>) -> Node {
    // Deepest first: a folder is whole when all in it have been put in.
    done.sort_by_cached_key(|(path, _)| std::cmp::Reverse(path.parts().count()));
    let mut inner: HashMap<TreePath, Vec<Inner>> = HashMap::new();
    let mut top = Node::folder();
    for (path, read) in done {
        let node = match read {
            Read::Folder(found) => Some(found.with(inner.remove(&path).unwrap_or_default())),
            Read::Other(node) => node,
        };
        match path.split() {
            Some((parent, name)) => inner.entry(parent).or_default().push((name.to_owned(), node.clone())),
            None => return node.unwrap_or_else(Node::folder),
        }
        top = node.unwrap_or_else(Node::folder);
    }
    top
}

impl Found {
    fn with(mut self, inner: Vec<Inner>) -> Node {
        let is_same = |old: &Arc<Folder>| {
            inner
                .iter()
                .all(|(name, new)| new.as_ref().zip(old.get(name)).is_some_and(|(new, old)| new.is_shared_with(old)))
        };
        if let Some(old) = self.same.filter(is_same) {
            return Node::Folder(old);
        }
        for (name, node) in inner {
            self.folder.set(&name, node);
        }
        Node::Folder(Arc::new(self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::names::Rules;
    use crate::sync::patterns::Patterns;
    use crate::sync::scan::Unread;
    use crate::sync::tree::Apart;
    use std::fs;
    use std::path::Path;

    /// Writes a file that is not young.
    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        folder::set_modified(&fs::File::open(path).unwrap(), 1_000_000_001).unwrap();
    }

    fn with_scanner<T>(root: &Path, look: impl FnOnce(&Scanner<'_>, folder::Folder) -> T) -> T {
        let (patterns, unread) = (Patterns::new(&[]).unwrap(), Unread::default());
        let open = folder::Folder::at(root).unwrap();
        let device = open.facts().unwrap().device;
        let scanner =
            Scanner { patterns: &patterns, rules: Rules::default(), device, on_folder: &|_| {}, unread: &unread };
        look(&scanner, open)
    }

    fn scan(root: &Path, old: Option<&Node>) -> Node {
        with_scanner(root, |scanner, open| scanner.read_all(open, &TreePath::root(), old).unwrap())
    }

    /// Stamps and times too.
    fn all_of(node: &Node) -> Vec<u8> {
        postcard::to_stdvec(node).unwrap()
    }

    #[test]
    fn what_did_not_change_stays_in_memory_and_what_did_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        ["a/x", "a/y", "b/c/w", "b/z", "top"].iter().for_each(|name| write(&root.join(name), name));
        std::os::unix::fs::symlink("x", root.join("a/link")).unwrap();
        let mut known = scan(root, None);
        assert!(scan(root, Some(&known)).is_shared_with(&known));
        let steps: [(&str, &dyn Fn()); 9] = [
            ("b", &|| write(&root.join("b/c/w"), "B/C/W")),
            ("a", &|| fs::remove_file(root.join("a/y")).unwrap()),
            ("b", &|| write(&root.join("b/c/new"), "new")),
            ("b", &|| folder::set_mode(&fs::File::open(root.join("b/z")).unwrap(), 0o600).unwrap()),
            ("a", &|| fs::rename(root.join("a/x"), root.join("a/renamed")).unwrap()),
            ("a", &|| fs::remove_file(root.join("a/link")).unwrap()),
            ("b", &|| fs::remove_dir_all(root.join("b/c")).unwrap()),
            ("b", &|| write(&root.join("b/c"), "a file now")),
            ("b", &|| fs::create_dir(root.join("b/empty")).unwrap()),
        ];
        for (number, (changed, step)) in steps.iter().enumerate() {
            step();
            let now = scan(root, Some(&known));
            assert_eq!(all_of(&now), all_of(&scan(root, None)), "step {number}");
            assert_ne!(all_of(&now), all_of(&known), "step {number}");
            for name in ["a", "b"] {
                let (now, known) = (now.get(&name.into()).unwrap(), known.get(&name.into()).unwrap());
                assert_eq!(now.is_shared_with(known), name != *changed, "step {number}, {name}");
            }
            known = now;
        }
    }

    #[test]
    fn what_a_listing_says_changes_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        ["file", "inner/x", "target", ".lock.swp", "node_modules/y"]
            .iter()
            .for_each(|name| write(&root.join(name), name));
        std::os::unix::fs::symlink("file", root.join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        with_scanner(root, |scanner, open| {
            for listed in open.list().unwrap() {
                let look = |sort| scanner.read_listed(&open, &TreePath::root(), &listed.name, sort, None).unwrap();
                let (told, asked) = (look(listed.sort).unwrap(), look(None).unwrap());
                assert_eq!(all_of(&told), all_of(&asked), "{listed:?}");
                let apart = [&b".lock.swp"[..], b"node_modules", b"socket"].contains(&&*listed.name);
                assert_eq!(matches!(told, Node::Apart(Apart::Ignored | Apart::Special)), apart, "{listed:?}");
            }
        });
    }
}

//! Reads a tree of the file system into one of memory. Files that look as they did when they were last read are not
//! read again.

use super::names::Rules;
use super::path::TreePath;
use super::patterns::Patterns;
use super::reading::SLICED_FROM_BYTES;
use super::tree::{Apart, File, Folder, Hash, Name, Node, Stamp};
use crate::sys::folder::{self, Facts, Sort};
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file written less than this before it was read may be written again without looking different: clocks of file
/// systems tick every 1 to 10 ms.
const RACY_NANOSECONDS: i64 = 20_000_000;
/// As long as this on FAT, whose times are whole seconds.
const RACY_SECONDS_NANOSECONDS: i64 = 2_020_000_000;
/// A file that changed each time it was read so often is left for later.
const READS: usize = 4;
/// More threads than this do not make a disk quicker.
const MOST_THREADS: usize = 4;
const READ_BYTES: usize = 1 << 16;

/// Reads trees below one root.
pub struct Scanner<'a> {
    pub patterns: &'a Patterns,
    pub rules: Rules,
    /// The file system the root is on; others stay apart.
    pub device: u64,
    /// Called for each folder before it is read.
    pub on_folder: &'a (dyn Fn(&TreePath) + Sync),
    /// Large files that are not read here, or could not be.
    pub unread: &'a Unread,
}

/// What becomes of a large file that has to be read.
#[derive(Default)]
pub struct Unread {
    /// It is read in slices by somebody else; until then it counts as what it was.
    pub defers: bool,
    pub paths: Mutex<Vec<TreePath>>,
}

impl Unread {
    fn add(&self, path: &TreePath) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
    }
}

/// A folder that waits to be read.
struct Waiting {
    parent: Arc<folder::Folder>,
    path: TreePath,
    old: Option<Node>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Folders that a thread has in hand.
    open: usize,
    done: Vec<(TreePath, Folder)>,
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
            first.done.push((path.clone(), top));
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
                Ok(Some((folder, inner))) => {
                    lock.done.push((next.path, folder));
                    if !inner.is_empty() {
                        lock.waiting.extend(inner);
                        changed.notify_all();
                    }
                }
                Ok(None) => {}
                Err(error) => lock.failed = Some(error),
            }
        }
    }

    /// `None` when it went away meanwhile. Its node stays the empty folder that its parent has for it: whoever watches
    /// hears of it.
    fn read_waiting(&self, waiting: &Waiting) -> io::Result<Option<(Folder, Vec<Waiting>)>> {
        let Some((_, name)) = waiting.path.split() else { return Ok(None) };
        (self.on_folder)(&waiting.path);
        let read = waiting
            .parent
            .enter(name)
            .and_then(|folder| self.read_folder(Arc::new(folder), &waiting.path, waiting.old.as_ref()));
        match read {
            Err(error) if is_out_of_descriptors(&error) => Err(error),
            other => Ok(other.ok()),
        }
    }

    fn read_folder(
        &self,
        handle: Arc<folder::Folder>,
        path: &TreePath,
        old: Option<&Node>,
    ) -> io::Result<(Folder, Vec<Waiting>)> {
        let mut entries: Vec<(Name, Node)> = Vec::new();
        let mut waiting = Vec::new();
        for name in handle.names()?.into_iter().map(|name| self.rules.told(name)) {
            let (path, old) = (path.join(&name), old.and_then(|old| old.child(&name)));
            let Some(node) = self.read_one(&handle, &path, &name, old)? else { continue };
            if node.is_folder() {
                waiting.push(Waiting { parent: handle.clone(), path, old: old.cloned() });
            }
            entries.push((name.into(), node));
        }
        Ok((Folder::of(entries), waiting))
    }

    /// What stands under a name; a folder is still empty. `None` when nothing does.
    ///
    /// # Errors
    /// The system is out of descriptors; everything else is an answer.
    pub fn read_one(
        &self,
        handle: &folder::Folder,
        path: &TreePath,
        name: &[u8],
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        if !path.is_fine() {
            // Too long or too deep to be told of; `docs/sync.md` says so.
            return Ok(None);
        }
        let facts = match handle.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(None),
            Err(_) => return Ok(Some(Node::Apart(Apart::Unreadable))),
        };
        if self.patterns.is_apart(path, facts.sort == Sort::Folder) {
            return Ok(Some(Node::Apart(Apart::Ignored)));
        }
        Ok(match facts.sort {
            Sort::Special => Some(Node::Apart(Apart::Special)),
            Sort::Link => handle.read_link(name).ok().map(|target| Node::Link(target.into())),
            Sort::Folder if facts.device != self.device => Some(Node::Apart(Apart::Mounted)),
            Sort::Folder => match handle.enter(name) {
                Ok(_) => Some(Node::folder()),
                Err(error) if is_out_of_descriptors(&error) => return Err(error),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                _ => Some(Node::Apart(Apart::Unreadable)),
            },
            Sort::File => match old {
                Some(Node::File(file, stamp)) if is_unchanged(file, stamp, &facts) => {
                    Some(Node::File(File { mode: facts.mode, ..*file }, *stamp))
                }
                old if facts.size_bytes >= SLICED_FROM_BYTES => self.read_large(handle, path, name, old)?,
                _ => read_file(handle, name, READS)?,
            },
        })
    }

    fn read_large(
        &self,
        handle: &folder::Folder,
        path: &TreePath,
        name: &[u8],
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        if self.unread.defers {
            self.unread.add(path);
            return Ok(old.filter(|old| matches!(old, Node::File(..) | Node::Apart(_))).cloned());
        }
        // Once: one that changes is read in slices as soon as all of the tree was told.
        let read = read_file(handle, name, 1)?;
        if read == Some(Node::Apart(Apart::Busy)) {
            self.unread.add(path);
        }
        Ok(read)
    }
}

pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    // ENFILE and EMFILE of every Unix.
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Whether a file is, to all appearance, what it was when it was read.
pub fn is_unchanged(file: &File, stamp: &Stamp, facts: &Facts) -> bool {
    stamp.changed_nanoseconds == facts.changed_nanoseconds
        && stamp.inode == facts.inode
        && file.size_bytes == facts.size_bytes
        && file.modified_nanoseconds == facts.modified_nanoseconds
}

/// Reads a file to the end until it was the same before and after.
fn read_file(handle: &folder::Folder, name: &[u8], reads: usize) -> io::Result<Option<Node>> {
    for _ in 0..reads {
        let began = nanoseconds_now();
        let mut file = match handle.read(name) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if is_out_of_descriptors(&error) => return Err(error),
            Err(_) => return Ok(Some(Node::Apart(Apart::Unreadable))),
        };
        let Ok(before) = folder::facts_of(&file) else { return Ok(Some(Node::Apart(Apart::Unreadable))) };
        if before.sort != Sort::File {
            return Ok(Some(Node::Apart(Apart::Busy)));
        }
        let Ok(hash) = hash_of(&mut file) else { return Ok(Some(Node::Apart(Apart::Unreadable))) };
        if folder::facts_of(&file).is_ok_and(|after| after == before) {
            return Ok(Some(node_read(hash, &before, began)));
        }
    }
    Ok(Some(Node::Apart(Apart::Busy)))
}

/// The time, in nanoseconds since 1970.
pub fn nanoseconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// A file of this content that looks like `facts` now.
pub fn node_of(hash: Hash, facts: &Facts) -> Node {
    node_read(hash, facts, nanoseconds_now())
}

/// A file that looked like `facts` from when its reading began (nanoseconds since 1970) to when it ended.
pub fn node_read(hash: Hash, facts: &Facts, began_nanoseconds: i64) -> Node {
    // Whoever writes to it makes it young, so an old file that is written to later is told by its time.
    let window =
        if facts.modified_nanoseconds % 1_000_000_000 == 0 { RACY_SECONDS_NANOSECONDS } else { RACY_NANOSECONDS };
    let racy = began_nanoseconds.saturating_sub(facts.modified_nanoseconds).abs() < window;
    let file =
        File { hash, size_bytes: facts.size_bytes, mode: facts.mode, modified_nanoseconds: facts.modified_nanoseconds };
    let changed_nanoseconds = if racy { 0 } else { facts.changed_nanoseconds };
    Node::File(file, Stamp { changed_nanoseconds, inode: facts.inode })
}

/// BLAKE3 of what a reader gives.
///
/// # Errors
/// It cannot be read.
pub fn hash_of(from: &mut impl Read) -> io::Result<Hash> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(READ_BYTES, 0);
        let mut hasher = blake3::Hasher::new();
        loop {
            match from.read(buffer) {
                Ok(0) => return Ok(*hasher.finalize().as_bytes()),
                Ok(read) => drop(hasher.update(&buffer[..read])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

/// Puts folders, each read by itself, into one tree.
fn assemble(mut folders: Vec<(TreePath, Folder)>) -> Node {
    // Deepest first: a folder is whole when all in it have been put in.
    folders.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(path.parts().count()));
    let mut inner: std::collections::HashMap<TreePath, Vec<(Vec<u8>, Node)>> = std::collections::HashMap::new();
    let mut top = Node::folder();
    for (path, mut folder) in folders {
        for (name, node) in inner.remove(&path).unwrap_or_default() {
            folder.set(&name, Some(node));
        }
        let node = Node::Folder(Arc::new(folder));
        match path.split() {
            Some((parent, name)) => inner.entry(parent).or_default().push((name.to_owned(), node.clone())),
            None => return node,
        }
        top = node;
    }
    top
}

//! Looks at what stands under a name. Files that look as they did when they were last read are not read again.

use super::names::Rules;
use super::path::TreePath;
use super::patterns::Patterns;
use super::reading::SLICED_FROM_BYTES;
use super::tree::{Apart, File, Hash, Node, Stamp};
use crate::sys::folder::{self, Facts, Sort};
use std::io::{self, ErrorKind, Read};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file written less than this before it was read may be written again without looking different: clocks of file
/// systems tick every 1 to 10 ms.
const RACY_NANOSECONDS: i64 = 20_000_000;
/// As long as this on FAT, whose times are whole seconds.
const RACY_SECONDS_NANOSECONDS: i64 = 2_020_000_000;
/// A file that changed each time it was read so often is left for later.
const READS: usize = 4;
const READ_BYTES: usize = 1 << 16;

/// Reads what is below one root.
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
    fn add(&self, path: TreePath) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }
}

impl Scanner<'_> {
    /// What stands under a name; a folder is still empty. `None` when nothing does.
    ///
    /// # Errors
    /// The system is out of descriptors; everything else is an answer.
    pub fn read_one(
        &self,
        handle: &folder::Folder,
        parent: &TreePath,
        name: &[u8],
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        let node = self.read_listed(handle, parent, name, None, old)?;
        if !node.as_ref().is_some_and(Node::is_folder) {
            return Ok(node);
        }
        match handle.enter(name) {
            Ok(_) => Ok(node),
            Err(error) => not_entered(error),
        }
    }

    /// As `read_one`, of a name whose folder was listed and said what stands there. A folder was not entered yet.
    pub(super) fn read_listed(
        &self,
        handle: &folder::Folder,
        parent: &TreePath,
        name: &[u8],
        listed: Option<Sort>,
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        if !parent.takes(name) {
            // Too long or too deep to be told of; `docs/sync.md` says so.
            return Ok(None);
        }
        // A file that is not known is opened in any case, and looked at then.
        if listed == Some(Sort::File) && !old.is_some_and(Node::is_file) {
            return match self.patterns.is_apart(parent, name, false) {
                true => Ok(Some(Node::Apart(Apart::Ignored))),
                false => self.read_small(handle, parent, name, old),
            };
        }
        let facts = match handle.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(None),
            Err(_) => return Ok(Some(Node::Apart(Apart::Unreadable))),
        };
        if self.patterns.is_apart(parent, name, facts.sort == Sort::Folder) {
            return Ok(Some(Node::Apart(Apart::Ignored)));
        }
        Ok(match facts.sort {
            Sort::Special => Some(Node::Apart(Apart::Special)),
            Sort::Link => handle.read_link(name).ok().map(|target| Node::Link(target.into())),
            Sort::Folder if facts.device != self.device => Some(Node::Apart(Apart::Mounted)),
            Sort::Folder => Some(Node::folder()),
            Sort::File => match old {
                Some(Node::File(file, stamp)) if is_unchanged(file, stamp, &facts) => {
                    Some(Node::File(File { mode: facts.mode, ..*file }, *stamp))
                }
                old if facts.size_bytes >= SLICED_FROM_BYTES => self.read_large(handle, parent, name, old)?,
                old => self.read_small(handle, parent, name, old)?,
            },
        })
    }

    fn read_small(
        &self,
        handle: &folder::Folder,
        parent: &TreePath,
        name: &[u8],
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        match read_file(handle, name, READS)? {
            // It is large, or became so meanwhile.
            Some(Node::Apart(Apart::Busy)) => self.read_large(handle, parent, name, old),
            read => Ok(read),
        }
    }

    fn read_large(
        &self,
        handle: &folder::Folder,
        parent: &TreePath,
        name: &[u8],
        old: Option<&Node>,
    ) -> io::Result<Option<Node>> {
        if self.unread.defers {
            self.unread.add(parent.join(name));
            return Ok(old.filter(|old| matches!(old, Node::File(..) | Node::Apart(_))).cloned());
        }
        // Once: one that changes is read in slices as soon as all of the tree was told.
        let read = read_file(handle, name, 1)?;
        if read == Some(Node::Apart(Apart::Busy)) {
            self.unread.add(parent.join(name));
        }
        Ok(read)
    }
}

/// What a folder that cannot be entered counts as.
///
/// # Errors
/// The system is out of descriptors.
pub(super) fn not_entered(error: io::Error) -> io::Result<Option<Node>> {
    match error {
        error if is_out_of_descriptors(&error) => Err(error),
        error if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => Ok(Some(Node::Apart(Apart::Unreadable))),
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

/// Reads a file to the end until it was the same before and after. One that may be read more often than once must be
/// short.
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
        if reads > 1 && before.size_bytes >= SLICED_FROM_BYTES {
            break;
        }
        let Ok(hash) = hash_of_first(&mut file, before.size_bytes) else {
            return Ok(Some(Node::Apart(Apart::Unreadable)));
        };
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

/// BLAKE3 of the first so many bytes of a file: that there are more is seen by its facts, so that nobody has to try to
/// read them, and one that grows as quickly as it is read has an end.
fn hash_of_first(file: &mut std::fs::File, bytes: u64) -> io::Result<Hash> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    if bytes > READ_BYTES as u64 {
        return hash_of(&mut file.take(bytes));
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(READ_BYTES, 0);
        let mut filled = 0;
        while filled < bytes as usize {
            match file.read(&mut buffer[filled..bytes as usize]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(*blake3::hash(&buffer[..filled]).as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let becomes = |code| not_entered(io::Error::from_raw_os_error(code));
        let (no_entry, input_output, too_many_open, denied) = (2, 5, 24, 13);
        assert_eq!(becomes(no_entry).unwrap(), None);
        for code in [input_output, denied] {
            assert_eq!(becomes(code).unwrap(), Some(Node::Apart(Apart::Unreadable)));
        }
        assert!(becomes(too_many_open).is_err());
    }
}

//! Content in a replica's thread: what it reads for the other side, and what of large files it is sent.

use super::message::{ReadFile, Tell, Ticket};
use super::path::{Blob, TreePath};
use super::replica::Replica;
use super::scan::{hash_of, is_unchanged};
use super::stage::{Filling, Growing};
use super::tree::Node;
use super::worker::{Told, Worker};
use crate::sys::folder::{facts_of, is_other_kind};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// A piece asked for is never longer.
const LONGEST_PIECE_BYTES: u32 = 1 << 20;

impl Worker {
    /// Adds to a large file. One that cannot be written is not whole in the end, which is told then.
    pub(super) fn grow(
        &mut self,
        ticket: Ticket,
        add: impl FnOnce(&mut Replica, &mut Growing) -> io::Result<()>,
    ) -> Told {
        if let Some(growing) = self.growing.get_mut(&ticket)
            && let Err(error) = add(&mut self.replica, growing)
        {
            // What the system has no place for would be sent in vain again; a file that changed would not.
            if error.raw_os_error().is_some() && error.kind() != io::ErrorKind::NotFound && !is_other_kind(&error) {
                self.unwritten.insert(ticket, error.to_string());
            }
            self.growing.remove(&ticket).iter().for_each(|growing| self.replica.discard(growing));
        }
        self.tell(Tell::Written { ticket })
    }

    /// A large file was looked at for what is there already.
    pub(super) fn filled(&mut self, ticket: Ticket, filling: Filling, error: Option<io::Error>) -> Told {
        let growing = filling.end();
        let have = match error {
            None => {
                let have = growing.have_bytes();
                self.growing.insert(ticket, growing);
                have
            }
            Some(error) => {
                self.replica.discard(&growing);
                self.unwritten.insert(ticket, error.to_string());
                0
            }
        };
        self.tell(Tell::Begun { ticket, have })
    }

    pub(super) fn read(&mut self, files: Vec<ReadFile>) -> Told {
        let mut contents = Vec::new();
        let mut stale = Vec::new();
        self.replica.forget_near();
        for file in files {
            let data = read_whole(&mut self.replica, &file);
            if data.is_none() {
                stale.push(file.path);
            }
            contents.push((file.ticket, data.map(Blob)));
        }
        self.look_again(&stale)?;
        self.tell(Tell::Contents(contents))
    }
}

/// A small file, if it is what was asked for.
fn read_whole(replica: &mut Replica, wanted: &ReadFile) -> Option<Vec<u8>> {
    if wanted.size_bytes > u64::from(LONGEST_PIECE_BYTES) {
        return None;
    }
    let mut file = open_at(replica, &wanted.path, 0).ok()?;
    let mut data = vec![0; wanted.size_bytes as usize];
    file.read_exact(&mut data).ok()?;
    // Only afterwards: what looks as it did when it was read first was so all the time, and needs no second look at every
    // byte.
    let now = facts_of(&file).ok()?;
    let is_known = matches!(replica.tree().get(&wanted.path), Some(Node::File(known, stamp))
        if known.hash == wanted.hash && is_unchanged(known, stamp, &now));
    let is_same = is_known
        || (now.size_bytes == wanted.size_bytes && hash_of(&mut data.as_slice()).is_ok_and(|hash| hash == wanted.hash));
    is_same.then_some(data)
}

/// A file of the tree, from `offset` on.
pub fn open_at(replica: &mut Replica, path: &TreePath, offset: u64) -> io::Result<File> {
    let (parent, name) = path.split().ok_or(io::ErrorKind::IsADirectory)?;
    let mut file = replica.walk(&parent)?.read(name)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    Ok(file)
}

/// Bytes of a file of the tree; shorter at its end, `None` when it cannot be read.
pub fn read_piece(replica: &mut Replica, path: &TreePath, offset: u64, length: u32) -> Option<Vec<u8>> {
    let file = open_at(replica, path, offset).ok()?;
    let facts = facts_of(&file).ok()?;
    if let Some(Node::File(known, stamp)) = replica.tree().get(path)
        && stamp.inode != 0
        && (stamp.inode != facts.inode
            || (known.size_bytes == facts.size_bytes && known.modified_nanoseconds != facts.modified_nanoseconds))
    {
        // It is not what was told any more, so that nobody needs to wait for the end of it to see that.
        return None;
    }
    let length = length.min(LONGEST_PIECE_BYTES);
    let mut data = Vec::with_capacity(length as usize);
    file.take(u64::from(length)).read_to_end(&mut data).ok()?;
    Some(data)
}

//! Files on their way into the tree: written aside, checked, and only then put in place.

use super::apply::Not;
use super::holes;
use super::message::{Body, Order};
use super::path::TreePath;
use super::replica::Replica;
use super::scan::nanoseconds_now;
use super::tree::{File, Hash, Leaf, Node};
use crate::sys::folder::{Facts, Folder, Sort, facts_of, set_mode, set_modified};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A file that lies ready in the stage.
#[derive(Debug)]
pub struct Staged {
    pub(super) name: Vec<u8>,
    /// `None` for a link, and for what came in pieces until it is made ready.
    pub(super) laid: Option<Laid>,
}

/// A file that was made as it is to be.
#[derive(Debug, Clone, Copy)]
pub struct Laid {
    pub(super) facts: Facts,
    /// Its time is one that no later write gives it.
    pub(super) is_dated: bool,
}

/// A large file that comes in pieces, in order.
#[derive(Debug)]
pub struct Growing {
    file: fs::File,
    name: Vec<u8>,
    hash: Hash,
    hasher: blake3::Hasher,
    have_bytes: u64,
    size_bytes: u64,
}

/// What of a large file is here from before, being taken up slice by slice.
#[derive(Debug)]
pub struct Filling {
    growing: Growing,
    /// Of what arrived earlier, still to be hashed.
    left_bytes: u64,
    /// A file of the same content on this side.
    own: Option<fs::File>,
    took_own: bool,
}

const COPY_BYTES: usize = 1 << 18;
/// Other work waits for no longer than this takes.
const SLICE_BYTES: u64 = 1 << 20;

impl Replica {
    /// Lays a new file or link ready in the stage.
    pub(super) fn make_ready(&mut self, order: &Order, leaf: &Leaf, staged: Option<Staged>) -> Result<Staged, Not> {
        let came_in_pieces = staged.is_some();
        let name = staged.map_or_else(|| self.next_name(), |staged| staged.name);
        let stage = self.stage.clone();
        let ready = self.lay(&stage, &name, order, leaf, came_in_pieces);
        if ready.is_err() {
            let _ = self.stage.unlink(&name);
        }
        Ok(Staged { laid: ready?, name })
    }

    /// A name that nothing in the stage has.
    pub(super) fn next_name(&mut self) -> Vec<u8> {
        self.staged += 1;
        self.staged.to_string().into_bytes()
    }

    /// Makes a file or link in a folder of the stage as it is to be in the tree. `None` for a link.
    pub(super) fn lay(
        &mut self,
        at: &Folder,
        name: &[u8],
        order: &Order,
        leaf: &Leaf,
        came_in_pieces: bool,
    ) -> Result<Option<Laid>, Not> {
        match leaf {
            Leaf::Link(target) => {
                at.make_link(name, &target.0).map_err(without_links)?;
                self.give(at, name)?;
                Ok(None)
            }
            Leaf::File(file) => self.fill(at, name, order, file, came_in_pieces).map(Some),
            Leaf::Folder => Err(Not::Refused),
        }
    }

    /// Gives what was made to whom it shall belong.
    pub(super) fn give(&self, at: &Folder, name: &[u8]) -> io::Result<()> {
        self.owner.map_or(Ok(()), |owner| at.give(name, owner.uid, owner.gid))
    }

    fn fill(
        &mut self,
        at: &Folder,
        name: &[u8],
        order: &Order,
        wanted: &File,
        came_in_pieces: bool,
    ) -> Result<Laid, Not> {
        let file = match &order.body {
            Body::Inline(content) => {
                if *blake3::hash(&content.0).as_bytes() != wanted.hash {
                    return Err(Not::Refused);
                }
                let mut file = at.create(name, wanted.mode)?;
                holes::write(&mut file, &content.0)?;
                file
            }
            Body::Staged if came_in_pieces => at.read(name)?,
            Body::Own(path) => self.copy_own(at, name, path, wanted)?,
            Body::Staged | Body::Renamed(_) | Body::None => return Err(Not::NeedsContent),
        };
        self.give(at, name)?;
        // A new file keeps its time. One that is replaced gets the time of now, by this side's clock: a build that runs
        // here has to see that it is newer than what was made of the old one. It is told to the nanosecond, while what is
        // written gets the time of the clock's last tick: a write at this very moment shows too.
        let now = nanoseconds_now();
        let replaces = order.old.is_some();
        set_modified(&file, if replaces { now } else { wanted.modified_nanoseconds })?;
        let mut facts = facts_of(&file)?;
        if facts.mode != wanted.mode {
            set_mode(&file, wanted.mode)?;
            facts = facts_of(&file)?;
        }
        // What keeps less than nanoseconds may give a later write the same time.
        let is_dated = replaces && facts.modified_nanoseconds == now && now % 1000 != 0;
        Ok(Laid { facts, is_dated })
    }

    /// Copies a file of the same content that this side has in its tree, or had a moment ago.
    fn copy_own(&mut self, at: &Folder, name: &[u8], path: &TreePath, wanted: &File) -> Result<fs::File, Not> {
        let from = self.find_own(path, &wanted.hash).or_else(|| self.trash.find(&wanted.hash));
        let Some(mut from) = from else { return Err(Not::NeedsContent) };
        let mut to = at.create(name, wanted.mode)?;
        let mut hasher = blake3::Hasher::new();
        copy_hashing(&mut from, &mut holes::Holed(&mut to), u64::MAX, &mut hasher)?;
        if *hasher.finalize().as_bytes() != wanted.hash {
            drop(to);
            at.unlink(name)?;
            return Err(Not::NeedsContent);
        }
        Ok(to)
    }

    /// Begins, or goes on with, a large file that will come in pieces. `beside`: one of the same content is coming already,
    /// so this one gets a name of its own: whoever still wrote to a file that is in the tree by now would write there.
    ///
    /// # Errors
    /// The stage cannot be written.
    pub fn begin(&mut self, hash: Hash, size_bytes: u64, own: Option<&TreePath>, beside: bool) -> io::Result<Filling> {
        let name = match beside {
            true => self.next_name(),
            false => format!("{}.part", blake3::Hash::from_bytes(hash).to_hex()).into_bytes(),
        };
        let file = self.stage.create_or_open(&name)?;
        let mut have = facts_of(&file)?.size_bytes;
        if have > size_bytes {
            file.set_len(0)?;
            have = 0;
        }
        let own = own.and_then(|path| self.find_own(path, &hash)).or_else(|| self.trash.find(&hash));
        let growing = Growing { file, name, hash, hasher: blake3::Hasher::new(), have_bytes: 0, size_bytes };
        Ok(Filling { growing, left_bytes: have, own, took_own: false })
    }

    /// Opens a file of the tree that has this content, as far as is known.
    fn find_own(&mut self, path: &TreePath, hash: &Hash) -> Option<fs::File> {
        let known = matches!(self.tree.get(path), Some(Node::File(file, _)) if file.hash == *hash);
        let (parent, name) = path.split().filter(|_| known)?;
        let open = self.walk(&parent).and_then(|folder| folder.read(name)).ok()?;
        facts_of(&open).is_ok_and(|facts| facts.sort == Sort::File).then_some(open)
    }

    /// Ends a large file. A content that is not the one announced is thrown away.
    pub fn finish(&self, growing: &Growing) -> Option<Staged> {
        if growing.is_right() {
            return Some(Staged { name: growing.name.clone(), laid: None });
        }
        if growing.have_bytes == growing.size_bytes {
            self.discard(growing);
        }
        None
    }

    /// Throws away what came of a large file.
    pub fn discard(&self, growing: &Growing) {
        let _ = self.stage.unlink(&growing.name);
    }
}

impl Filling {
    /// The file as far as it is.
    pub fn growing(&self) -> &Growing {
        &self.growing
    }

    /// Takes up a slice more. Returns whether that was all.
    ///
    /// # Errors
    /// The disk is full, or the stage cannot be read.
    pub fn next(&mut self) -> io::Result<bool> {
        let growing = &mut self.growing;
        if self.left_bytes > 0 {
            let most = self.left_bytes.min(SLICE_BYTES);
            let read = copy_hashing(&mut growing.file, &mut io::sink(), most, &mut growing.hasher)?;
            growing.have_bytes += read;
            self.left_bytes = if read < most { 0 } else { self.left_bytes - read };
            return Ok(false);
        }
        let missing = growing.size_bytes - growing.have_bytes;
        if let Some(own) = self.own.as_mut().filter(|_| missing > 0) {
            own.seek(SeekFrom::Start(growing.have_bytes))?;
            let most = missing.min(SLICE_BYTES);
            self.took_own = true;
            let copied = copy_hashing(own, &mut holes::Holed(&mut growing.file), most, &mut growing.hasher)?;
            growing.have_bytes += copied;
            if copied < most {
                self.own = None;
            }
            return Ok(false);
        }
        // Somebody may have written to what was copied.
        if self.took_own && !growing.is_right() {
            growing.file.set_len(0)?;
            growing.file.seek(SeekFrom::Start(0))?;
            growing.hasher.reset();
            growing.have_bytes = 0;
        }
        Ok(true)
    }

    /// The file, to be gone on with.
    pub fn end(self) -> Growing {
        self.growing
    }
}

impl Growing {
    fn is_right(&self) -> bool {
        self.have_bytes == self.size_bytes && *self.hasher.finalize().as_bytes() == self.hash
    }

    /// BLAKE3 of what it will be.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    pub fn have_bytes(&self) -> u64 {
        self.have_bytes
    }

    /// Adds the next piece.
    ///
    /// # Errors
    /// The disk is full, or the file is longer than was announced.
    pub fn add(&mut self, data: &[u8]) -> io::Result<()> {
        self.expect(data.len() as u64)?;
        holes::write(&mut self.file, data)?;
        self.hasher.update(data);
        self.have_bytes += data.len() as u64;
        Ok(())
    }

    /// Adds what comes next in `from`.
    ///
    /// # Errors
    /// The disk is full, there is less, or the file is longer than was announced.
    pub fn copy(&mut self, from: &mut fs::File, length: u64) -> io::Result<()> {
        self.expect(length)?;
        let copied = copy_hashing(from, &mut holes::Holed(&mut self.file), length, &mut self.hasher)?;
        self.have_bytes += copied;
        if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn expect(&self, more: u64) -> io::Result<()> {
        match self.size_bytes.checked_sub(self.have_bytes) {
            Some(left) if more <= left => Ok(()),
            _ => Err(io::Error::other("more came than was announced")),
        }
    }
}

/// Says what FAT means by refusing a link.
fn without_links(error: io::Error) -> Not {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => {
            Not::Failed(io::Error::other("its file system has no symlinks"))
        }
        _ => Not::from(error),
    }
}

/// Copies up to `length` bytes and takes them into the hash. Returns how many.
fn copy_hashing(
    from: &mut impl Read,
    to: &mut impl Write,
    length: u64,
    hasher: &mut blake3::Hasher,
) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(length).unwrap_or(COPY_BYTES)).max(1)];
    let mut left = length;
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..read])?;
        hasher.update(&buffer[..read]);
        left -= read as u64;
    }
    Ok(length - left)
}

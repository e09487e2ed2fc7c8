//! What sync replaced or deleted on its side, kept for a while.
//!
//! `trash/BATCH/N` is what was displaced, `trash/BATCH/index` says from where: for each, two bytes of length and the
//! path, written before the thing is moved. A batch is what came between two pauses.

use super::path::TreePath;
use super::tree::Hash;
use crate::sys::folder::Folder;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// Batches beyond this many bytes in all go, oldest first; the newest stays whatever its size.
const MOST_BYTES: u64 = 1 << 30;
/// So many batches are kept at most.
const MOST_BATCHES: usize = 200;
/// Contents of the newest batch that can be found by hash.
const MOST_KNOWN: usize = 100_000;

/// The trash of one side.
#[derive(Debug)]
pub struct Trash {
    folder: Folder,
    /// Number of the batch that is open, or of the last one.
    number: u64,
    batch: Option<Batch>,
    known: HashMap<Hash, (u64, u64)>,
}

#[derive(Debug)]
struct Batch {
    folder: Folder,
    index: File,
    count: u64,
}

/// A batch: its folder, and names in it with the path each had.
pub type Kept = (Folder, Vec<(Vec<u8>, TreePath)>);

/// Where something was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Displaced(u64);

impl Trash {
    /// The trash in `folder`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(folder: Folder) -> io::Result<Trash> {
        let number = numbers(&folder)?.last().copied().unwrap_or(0);
        Ok(Trash { folder, number, batch: None, known: HashMap::new() })
    }

    /// Makes a place for what stands at `path`; the caller moves it there, as `name` in `folder`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn place(&mut self, path: &TreePath) -> io::Result<(&Folder, Vec<u8>, Displaced)> {
        if self.batch.is_none() {
            self.number += 1;
            let name = self.number.to_string().into_bytes();
            self.folder.make_folder(&name, 0o700)?;
            let folder = self.folder.enter(&name)?;
            let index = folder.create(b"index", 0o600)?;
            self.batch = Some(Batch { folder, index, count: 0 });
        }
        let batch = self.batch.as_mut().expect("made just now");
        let bytes = path.as_bytes();
        let mut record = Vec::with_capacity(bytes.len() + 2);
        record.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        record.extend_from_slice(bytes);
        batch.index.write_all(&record)?;
        batch.count += 1;
        Ok((&batch.folder, batch.count.to_string().into_bytes(), Displaced(batch.count)))
    }

    /// Remembers the content of what was put away, so that it need not travel should it appear elsewhere.
    pub fn remember(&mut self, hash: Hash, place: Displaced) {
        if self.known.len() < MOST_KNOWN {
            self.known.insert(hash, (self.number, place.0));
        }
    }

    /// A file of this content that was put away lately.
    pub fn find(&self, hash: &Hash) -> Option<File> {
        let (batch, name) = self.known.get(hash)?;
        self.folder.enter(batch.to_string().as_bytes()).ok()?.read(name.to_string().as_bytes()).ok()
    }

    /// Ends the batch and makes room.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn close_batch(&mut self) -> io::Result<()> {
        if self.batch.take().is_none() {
            return Ok(());
        }
        // What was just put away may be read under another name only now.
        let closed = self.number;
        self.known.retain(|_, (batch, _)| *batch == closed);
        let mut numbers = numbers(&self.folder)?;
        numbers.pop();
        let mut bytes = 0;
        let mut kept = 0;
        for number in numbers.into_iter().rev() {
            bytes += self.size(number)?;
            kept += 1;
            if bytes > MOST_BYTES || kept > MOST_BATCHES {
                self.remove(number)?;
            }
        }
        Ok(())
    }

    /// What the newest batch holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn newest(&mut self) -> io::Result<Option<Kept>> {
        self.batch = None;
        let Some(number) = numbers(&self.folder)?.pop() else { return Ok(None) };
        let folder = self.folder.enter(number.to_string().as_bytes())?;
        let mut index = Vec::new();
        io::Read::read_to_end(&mut folder.read(b"index")?, &mut index)?;
        let mut entries = Vec::new();
        let mut rest = index.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            let Some((path, tail)) = tail.split_at_checked(length) else { break };
            let name = (entries.len() + 1).to_string().into_bytes();
            entries.extend(TreePath::parse(path).map(|path| (name, path)));
            rest = tail;
        }
        Ok(Some((folder, entries)))
    }

    fn size(&self, number: u64) -> io::Result<u64> {
        let folder = self.folder.enter(number.to_string().as_bytes())?;
        let names = folder.names()?;
        Ok(names.iter().filter_map(|name| folder.look(name).ok().flatten()).map(|facts| facts.size_bytes).sum())
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        let name = number.to_string().into_bytes();
        let folder = self.folder.enter(&name)?;
        for inner in folder.names()? {
            match folder.unlink(&inner) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.folder.remove_folder(&name)
    }
}

fn numbers(folder: &Folder) -> io::Result<Vec<u64>> {
    let names = folder.names()?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

//! What is kept between runs: trees in files that a crash cannot tear, and a journal of what was agreed since.

use super::path::TreePath;
use super::tree::Leaf;
use crate::model::{Result, Trying};
use crate::sys::fs::write_atomically_with;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Raised with every change of what is kept: an older file is then as good as none.
const FORMAT: u32 = 4;
const CHECKSUM_BYTES: usize = 32;
/// Of a record: so many bytes of the BLAKE3 of the format and its body.
const SUM_BYTES: usize = 8;
/// The quickest of zstd.
const PACKING_LEVEL: i32 = 1;
/// No tree of this program is longer, unpacked.
const LONGEST_BYTES: usize = 2 << 30;

/// Writes `value` so that it is there whole or not at all.
///
/// # Errors
/// The disk is full or the folder not writable.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    // Packed piece by piece: whole, it would be the largest thing that this program ever has in memory.
    write_atomically_with(path, |file| {
        let summed = Summed { to: file, hasher: blake3::Hasher::new() };
        let mut packed = BufWriter::new(zstd::stream::Encoder::new(summed, PACKING_LEVEL)?);
        postcard::to_io(&(FORMAT, value), &mut packed).map_err(io::Error::other)?;
        let Summed { to: file, hasher } = packed.into_inner()?.finish()?;
        file.write_all(hasher.finalize().as_bytes())
    })
}

/// Sums up what is written.
struct Summed<'a> {
    to: &'a mut File,
    hasher: blake3::Hasher,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads what `save` wrote; `None` when there is nothing, or nothing that can be used.
pub fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    let (packed, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    if blake3::hash(packed).as_bytes() != sum {
        return None;
    }
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(packed).ok()?.take(LONGEST_BYTES as u64).read_to_end(&mut plain).ok()?;
    let (format, rest) = postcard::take_from_bytes::<u32>(&plain).ok()?;
    (format == FORMAT).then(|| postcard::from_bytes(rest).ok())?
}

/// What was agreed since the base was saved. Each record: four bytes of length, eight of checksum, postcard.
pub struct Journal {
    path: PathBuf,
    file: File,
    pub length_bytes: u64,
}

/// Both sides have this at that path now.
pub type Agreement = (TreePath, Option<Leaf>);

/// What the journal remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    Agreed(TreePath, Option<Leaf>),
    /// All that was agreed on before is on the disk of a side: this one, or the other.
    Settled {
        here: bool,
    },
}

impl Journal {
    /// Opens the journal and reads what it holds; a torn end is cut off.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Record>)> {
        let what = || format!("cannot open {}", path.display());
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).trying(what)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).trying(what)?;
        let mut records = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((record, tail)) = read_record(rest) {
            records.push(record);
            rest = tail;
        }
        let whole = (bytes.len() - rest.len()) as u64;
        file.set_len(whole).trying(what)?;
        Ok((Journal { path: path.into(), file, length_bytes: whole }, records))
    }

    /// Adds records.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, records: &[Record]) -> Result<()> {
        let what = || format!("cannot write {}", self.path.display());
        let (mut bytes, mut summed) = (Vec::new(), Vec::new());
        for record in records {
            summed.clear();
            summed.extend_from_slice(&FORMAT.to_le_bytes());
            summed = postcard::to_extend(record, summed).trying(what)?;
            let body = &summed[size_of_val(&FORMAT)..];
            bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&blake3::hash(&summed).as_bytes()[..SUM_BYTES]);
            bytes.extend_from_slice(body);
        }
        let written = self.file.write_all(&bytes);
        if written.is_err() {
            // A half record would hide those after it.
            let _ = self.file.set_len(self.length_bytes);
        }
        written.trying(what)?;
        self.length_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything: the base has it.
    ///
    /// # Errors
    /// The file cannot be cut.
    pub fn clear(&mut self) -> Result<()> {
        self.length_bytes = 0;
        let cleared: io::Result<()> = self.file.set_len(0);
        cleared.trying(|| format!("cannot empty {}", self.path.display()))
    }
}

/// Whether it is the body of a record in this format.
fn is_whole(body: &[u8], sum: &[u8; SUM_BYTES]) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&FORMAT.to_le_bytes()).update(body);
    hasher.finalize().as_bytes().starts_with(sum)
}

fn read_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<SUM_BYTES>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let fine = is_whole(body, sum);
    Some((postcard::from_bytes(body).ok().filter(|_| fine)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::path::Blob;
    use crate::sync::tree::{Apart, Node};

    #[test]
    fn a_journal_cut_or_flipped_anywhere_keeps_what_came_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let records = vec![
            Record::Agreed("a".into(), Some(Leaf::Folder)),
            Record::Agreed("a/b".into(), Some(Leaf::Link(Blob(b"x".to_vec())))),
            Record::Settled { here: true },
            Record::Agreed("c".into(), None),
        ];
        let (mut journal, before) = Journal::open(&path).unwrap();
        assert!(before.is_empty());
        journal.add(&records).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, read) = Journal::open(&path).unwrap();
            assert!(read.len() < 4 && records.starts_with(&read), "cut at {cut}");
            journal.add(&records[3..]).unwrap();
            assert_eq!(Journal::open(&path).unwrap().1.last(), records.last());
            let mut flipped = whole.clone();
            flipped[cut] ^= 4;
            std::fs::write(&path, &flipped).unwrap();
            assert!(records.starts_with(&Journal::open(&path).unwrap().1), "flipped at {cut}");
        }
    }

    #[test]
    fn a_saved_tree_is_read_or_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base");
        let mut tree = Node::folder();
        tree.set(&"a".into(), Some(Node::folder()));
        tree.set(&"a/b".into(), Some(Node::Link(b"t".as_slice().into())));
        tree.set(&"c".into(), Some(Node::Apart(Apart::Special)));
        save(&path, &tree).unwrap();
        assert_eq!(load::<Node>(&path), Some(tree));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(load::<Node>(&path).is_none(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                std::fs::write(&path, &flipped).unwrap();
                assert!(load::<Node>(&path).is_none(), "bit {bit} of {at} flipped");
            }
        }
        assert!(load::<Node>(&folder.path().join("none")).is_none());
    }
}

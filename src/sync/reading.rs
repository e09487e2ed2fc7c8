//! Reads a large file in slices, between which other work is done, and makes sure that what was read is one version. On
//! the way it is cut, if it replaces one that the other side has.

use super::chunks::{CUT_FROM_BYTES, Chunk, Cutter, average_bytes};
use super::scan::{nanoseconds_now, node_read};
use super::tree::{File, Hash, Node, Stamp};
use crate::sys::folder::{Facts, Sort, facts_of};
use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Files from this size on are read in slices.
pub const SLICED_FROM_BYTES: u64 = 1 << 20;
/// Other work waits for no longer than this takes.
pub const SLICE_BYTES: usize = 1 << 20;
const BUFFER_BYTES: usize = 1 << 18;

/// A file that is being read.
pub struct Reading {
    file: fs::File,
    before: Facts,
    began_nanoseconds: i64,
    at: u64,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    cut: Option<Cut>,
    /// It changed since it was opened.
    moved: bool,
    /// What it was when it was read the first time, if it is read a second time.
    first: Option<Hash>,
}

/// What a file is cut with, and the chunks so far.
struct Cut {
    cutter: Cutter,
    chunks: Vec<Chunk>,
}

/// What a slice brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Slice {
    More,
    /// It was read to its end, and did not change.
    Whole(Node),
    /// It grows. Up to where it ended when it was opened, two readings found the same, so nobody wrote to that part in
    /// between: it is the file as it stood there.
    Grown(Node),
    /// It is not what it was when it was opened.
    Moving,
}

impl Reading {
    /// Begins with `file`.
    ///
    /// # Errors
    /// It is no regular file.
    pub fn new(file: fs::File) -> io::Result<Reading> {
        let began_nanoseconds = nanoseconds_now();
        let before = facts_of(&file)?;
        if before.sort != Sort::File {
            return Err(ErrorKind::InvalidInput.into());
        }
        let (hasher, buffer) = (blake3::Hasher::new(), vec![0; BUFFER_BYTES]);
        Ok(Reading { file, before, began_nanoseconds, at: 0, hasher, buffer, cut: None, moved: false, first: None })
    }

    /// It will be asked of which chunks it consists, if it is large enough for that. Returns its size then.
    pub fn cut(&mut self) -> Option<u64> {
        let size_bytes = Some(self.before.size_bytes).filter(|size_bytes| *size_bytes >= CUT_FROM_BYTES)?;
        self.cut = Some(Cut { cutter: Cutter::new(average_bytes(size_bytes)), chunks: Vec::new() });
        Some(size_bytes)
    }

    /// Its chunks, once it was read to its end.
    pub fn take_chunks(&mut self) -> Option<Vec<Chunk>> {
        self.cut.take().map(|cut| cut.chunks)
    }

    /// As it was when it was opened.
    pub fn facts(&self) -> &Facts {
        &self.before
    }

    /// Reads on. `patient`: a file that changes is better read later; else it is read twice, if it only grows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&mut self, patient: bool) -> io::Result<Slice> {
        let end = self.before.size_bytes.min(self.at + SLICE_BYTES as u64);
        while self.at < end {
            match self.read((end - self.at) as usize) {
                Ok(0) => return Ok(Slice::Moving),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(Cut { cutter, chunks }) = &mut self.cut {
            chunks.append(&mut cutter.cut(end == self.before.size_bytes));
        }
        let now = facts_of(&self.file)?;
        self.moved |= now != self.before;
        if self.moved && (patient || now.size_bytes < self.before.size_bytes) {
            return Ok(Slice::Moving);
        }
        if self.at < self.before.size_bytes {
            return Ok(Slice::More);
        }
        let hash = *self.hasher.finalize().as_bytes();
        match self.first {
            None if !self.moved => Ok(Slice::Whole(node_read(hash, &self.before, self.began_nanoseconds))),
            None => {
                self.file.seek(SeekFrom::Start(0))?;
                self.hasher.reset();
                self.cut.iter_mut().for_each(Cut::clear);
                (self.at, self.first) = (0, Some(hash));
                Ok(Slice::More)
            }
            Some(first) if first == hash => {
                let Facts { size_bytes, mode, modified_nanoseconds, .. } = self.before;
                Ok(Slice::Grown(Node::File(File { hash, size_bytes, mode, modified_nanoseconds }, Stamp::default())))
            }
            Some(_) => Ok(Slice::Moving),
        }
    }

    /// Reads once, at most so much. Returns how much that was.
    fn read(&mut self, most_bytes: usize) -> io::Result<usize> {
        let most_bytes = most_bytes.min(BUFFER_BYTES);
        let data = match &mut self.cut {
            Some(cut) => cut.cutter.read(&mut self.file, most_bytes)?,
            None => {
                let read = self.file.read(&mut self.buffer[..most_bytes])?;
                &self.buffer[..read]
            }
        };
        self.hasher.update(data);
        self.at += data.len() as u64;
        Ok(data.len())
    }
}

impl Cut {
    fn clear(&mut self) {
        self.cutter.clear();
        self.chunks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::noise;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    /// Reads a file of two slices and a half, and does something to it after the first slice of each reading.
    fn read(patient: bool, change: fn(&fs::File, u32)) -> Slice {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, noise(1, SLICE_BYTES * 5 / 2)).unwrap();
        let writer = fs::File::options().write(true).open(&path).unwrap();
        let mut reading = Reading::new(fs::File::open(&path).unwrap()).unwrap();
        for count in 0.. {
            match reading.next(patient).unwrap() {
                Slice::More if count % 3 == 0 => change(&writer, count / 3),
                Slice::More => {}
                other => return other,
            }
        }
        unreachable!("it ends")
    }

    #[test]
    fn what_is_read_is_cut_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let content = noise(1, CUT_FROM_BYTES as usize + 12_345);
        fs::write(&path, &content).unwrap();
        let writer = fs::File::options().append(true).open(&path).unwrap();
        let mut cutter = Cutter::new(average_bytes(content.len() as u64));
        assert_eq!(cutter.read(&mut content.as_slice(), content.len()).unwrap().len(), content.len());
        let wanted = cutter.cut(true);
        for grows in [false, true] {
            let mut reading = Reading::new(fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(reading.cut(), Some(content.len() as u64));
            let mut slice = reading.next(false).unwrap();
            if grows {
                (&writer).write_all(b"more").unwrap();
            }
            while slice == Slice::More {
                slice = reading.next(false).unwrap();
            }
            assert_eq!(matches!(slice, Slice::Grown(_)), grows, "{slice:?}");
            assert_eq!(reading.take_chunks(), Some(wanted.clone()));
        }
    }

    fn hash_of(slice: &Slice) -> Option<Hash> {
        match slice {
            Slice::Whole(Node::File(file, _)) | Slice::Grown(Node::File(file, _)) => Some(file.hash),
            _ => None,
        }
    }

    #[test]
    fn what_is_told_is_a_version_that_stood_there() {
        let grow: fn(&fs::File, u32) = |file, _| file.write_all_at(b"more", file.metadata().unwrap().len()).unwrap();
        let wanted = *blake3::hash(&noise(1, SLICE_BYTES * 5 / 2)).as_bytes();
        let whole = read(true, |_, _| {});
        assert!(matches!(whole, Slice::Whole(_)) && hash_of(&whole) == Some(wanted), "{whole:?}");
        assert_eq!(read(true, grow), Slice::Moving);
        let grown = read(false, grow);
        assert!(matches!(grown, Slice::Grown(_)) && hash_of(&grown) == Some(wanted), "{grown:?}");
        // Both ends changed, the one that was read already first: together they never stood there.
        let torn = read(false, |file, round| {
            if round == 0 {
                file.write_all_at(b"changed", 0).unwrap();
                file.write_all_at(b"changed", SLICE_BYTES as u64 * 2).unwrap();
            }
        });
        assert_eq!(torn, Slice::Moving);
        assert_eq!(read(false, |file, _| file.set_len(SLICE_BYTES as u64).unwrap()), Slice::Moving);
    }
}

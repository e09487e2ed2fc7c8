//! Cuts a large file where its content says so (FastCDC), so that what moved within it is found again.

use super::tree::Hash;
use fastcdc::v2020::FastCDC;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Files from this size on are sent as what is different from the file they replace.
pub const CUT_FROM_BYTES: u64 = 8 << 20;
/// Average chunks, before the file is so large that its list would be.
const SMALLEST_AVERAGE_BYTES: u32 = 64 << 10;
const LARGEST_AVERAGE_BYTES: u32 = 1 << 20;
/// A file has about so many chunks: a list of them is shorter than one message, and takes 600 KB of memory.
const CHUNKS: u64 = 16 << 10;
/// The shortest and the longest chunk, as parts and multiples of the average.
const SHORTEST: u32 = 4;
const LONGEST: u32 = 4;
/// Read and cut at a time: other work waits for no longer than this takes.
const SLICE_BYTES: u64 = 1 << 20;
/// Chunks told in one message, about.
const TOLD_CHUNKS: usize = 64;

/// A chunk of a file; its place is after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The first half of its BLAKE3. What is made of chunks is checked as a whole.
    pub hash: [u8; 16],
    pub length_bytes: u32,
}

/// Cuts what is read, bit by bit.
#[derive(Debug)]
pub struct Cutter {
    average_bytes: u32,
    buffer: Vec<u8>,
    /// So much of the buffer was read and is not cut yet.
    uncut_bytes: usize,
}

/// A file that is being cut, slice by slice.
#[derive(Debug)]
pub struct Cutting {
    file: File,
    at: u64,
    size_bytes: u64,
    cutter: Cutter,
    chunks: Vec<Chunk>,
}

/// The average chunk of a file of this size.
pub fn average_bytes(size_bytes: u64) -> u32 {
    let wanted = u32::try_from((size_bytes / CHUNKS).next_power_of_two()).unwrap_or(u32::MAX);
    wanted.clamp(SMALLEST_AVERAGE_BYTES, LARGEST_AVERAGE_BYTES)
}

/// The least that all but the last chunk have.
pub fn shortest_bytes(average_bytes: u32) -> u32 {
    average_bytes / SHORTEST
}

impl Cutter {
    /// Averages that nobody would choose become ones that are possible.
    pub fn new(average_bytes: u32) -> Cutter {
        let average_bytes = average_bytes.clamp(SMALLEST_AVERAGE_BYTES, LARGEST_AVERAGE_BYTES).next_power_of_two();
        Cutter { average_bytes, buffer: Vec::new(), uncut_bytes: 0 }
    }

    /// Begins with another file.
    pub fn clear(&mut self) {
        self.uncut_bytes = 0;
    }

    /// Reads once, at most so much, and returns what that brought: nothing at the end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, from: &mut impl Read, most_bytes: usize) -> io::Result<&[u8]> {
        let (from_byte, to) = (self.uncut_bytes, self.uncut_bytes + most_bytes);
        if self.buffer.len() < to {
            self.buffer.resize(to, 0);
        }
        self.uncut_bytes += from.read(&mut self.buffer[from_byte..to])?;
        Ok(&self.buffer[from_byte..self.uncut_bytes])
    }

    /// The chunks of what was read. `last`: nothing comes after it.
    pub fn cut(&mut self, last: bool) -> Vec<Chunk> {
        let (average, longest) = (self.average_bytes as usize, (self.average_bytes * LONGEST) as usize);
        let shortest = shortest_bytes(self.average_bytes) as usize;
        let (mut chunks, mut cut_bytes) = (Vec::new(), 0);
        for found in FastCDC::new(&self.buffer[..self.uncut_bytes], shortest, average, longest) {
            let end = found.offset + found.length;
            // What was read ended it, not its content.
            if end == self.uncut_bytes && !last {
                break;
            }
            let hash: Hash = *blake3::hash(&self.buffer[found.offset..end]).as_bytes();
            chunks.push(Chunk { hash: first_half(hash), length_bytes: found.length as u32 });
            cut_bytes = end;
        }
        self.buffer.copy_within(cut_bytes..self.uncut_bytes, 0);
        self.uncut_bytes -= cut_bytes;
        chunks
    }
}

impl Cutting {
    /// Begins with the first `size_bytes` of `file`.
    pub fn new(file: File, size_bytes: u64, average_bytes: u32) -> Cutting {
        Cutting { file, at: 0, size_bytes, cutter: Cutter::new(average_bytes), chunks: Vec::new() }
    }

    /// Goes on by a slice. Returns the next chunks when there are enough to be told, and whether they are the last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self) -> io::Result<(Vec<Chunk>, bool)> {
        let end = self.size_bytes.min(self.at + SLICE_BYTES);
        let mut last = end == self.size_bytes;
        self.file.seek(SeekFrom::Start(self.at))?;
        while self.at < end {
            match self.cutter.read(&mut self.file, (end - self.at) as usize) {
                Ok([]) => {
                    last = true;
                    break;
                }
                Ok(data) => self.at += data.len() as u64,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.chunks.append(&mut self.cutter.cut(last));
        let enough = last || self.chunks.len() >= TOLD_CHUNKS;
        Ok((if enough { std::mem::take(&mut self.chunks) } else { Vec::new() }, last))
    }
}

fn first_half(hash: Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::noise;
    use std::collections::HashSet;
    use std::io::Write;

    fn cut(content: &[u8]) -> Vec<Chunk> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), content).unwrap();
        let file = File::options().append(true).read(true).open(folder.path().join("x")).unwrap();
        let mut cutting = Cutting::new(file.try_clone().unwrap(), content.len() as u64, average_bytes(0));
        // It grows meanwhile.
        (&file).write_all(b"more").unwrap();
        let mut all = Vec::new();
        loop {
            let (chunks, last) = cutting.next().unwrap();
            all.extend(chunks);
            if last {
                return all;
            }
        }
    }

    #[test]
    fn chunks_make_the_file_and_do_not_depend_on_slices_or_on_what_stands_before() {
        let content = noise(1, 13 << 20);
        let all = cut(&content);
        assert_eq!(all.iter().map(|chunk| u64::from(chunk.length_bytes)).sum::<u64>(), content.len() as u64);
        let whole: Vec<u32> = FastCDC::new(&content, 16 << 10, 64 << 10, 256 << 10).map(|c| c.length as u32).collect();
        assert_eq!(all.iter().map(|chunk| chunk.length_bytes).collect::<Vec<_>>(), whole);
        let known: HashSet<_> = all.iter().map(|chunk| chunk.hash).collect();
        let moved = cut(&[&noise(2, 999), content.as_slice()].concat());
        let new = moved.iter().filter(|chunk| !known.contains(&chunk.hash)).count();
        assert!(new < 8, "{new} of {}", moved.len());
        assert_eq!(cut(b""), []);
        // A file of whole slices, and one of zeros: cut by length alone.
        assert_eq!(cut(&vec![0; 4 * SLICE_BYTES as usize]).len(), 16);
    }

    #[test]
    fn larger_files_have_larger_chunks_up_to_a_limit() {
        for (size_bytes, average) in [(0, 64 << 10), (1 << 30, 64 << 10), (4 << 30, 256 << 10), (u64::MAX / 4, 1 << 20)]
        {
            assert_eq!(average_bytes(size_bytes), average, "{size_bytes}");
        }
    }
}

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
const SLICE_BYTES: u32 = 4 << 20;

/// A chunk of a file; its place is after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The first half of its BLAKE3. What is made of chunks is checked as a whole.
    pub hash: [u8; 16],
    pub length_bytes: u32,
}

/// A file that is being cut, slice by slice.
#[derive(Debug)]
pub struct Cutting {
    file: File,
    at: u64,
    size_bytes: u64,
    average_bytes: u32,
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

impl Cutting {
    /// Begins with the first `size_bytes` of `file`. Averages that nobody would choose become ones that are possible.
    pub fn new(file: File, size_bytes: u64, average_bytes: u32) -> Cutting {
        let average_bytes = average_bytes.clamp(SMALLEST_AVERAGE_BYTES, LARGEST_AVERAGE_BYTES).next_power_of_two();
        Cutting { file, at: 0, size_bytes, average_bytes }
    }

    /// The next chunks, and whether they are the last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self) -> io::Result<(Vec<Chunk>, bool)> {
        let (average, longest) = (self.average_bytes as usize, (self.average_bytes * LONGEST) as usize);
        let shortest = shortest_bytes(self.average_bytes) as usize;
        let mut slice = Vec::with_capacity((SLICE_BYTES as usize).max(2 * longest));
        let wanted = (slice.capacity() as u64).min(self.size_bytes.saturating_sub(self.at));
        self.file.seek(SeekFrom::Start(self.at))?;
        (&mut self.file).take(wanted).read_to_end(&mut slice)?;
        let at_end = (slice.len() as u64) < wanted || self.at + wanted >= self.size_bytes;
        let mut chunks = Vec::new();
        for found in FastCDC::new(&slice, shortest, average, longest) {
            let end = found.offset + found.length;
            // The slice ended it, not its content.
            if end == slice.len() && !at_end {
                break;
            }
            let hash: Hash = *blake3::hash(&slice[found.offset..end]).as_bytes();
            let (hash, _) = hash.split_first_chunk().ok_or(ErrorKind::InvalidData)?;
            chunks.push(Chunk { hash: *hash, length_bytes: found.length as u32 });
            self.at += found.length as u64;
        }
        Ok((chunks, at_end))
    }
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
        // A file of exactly one slice, and one of zeros: cut by length alone.
        assert_eq!(cut(&vec![0; SLICE_BYTES as usize]).len(), 16);
    }

    #[test]
    fn larger_files_have_larger_chunks_up_to_a_limit() {
        for (size_bytes, average) in [(0, 64 << 10), (1 << 30, 64 << 10), (4 << 30, 256 << 10), (u64::MAX / 4, 1 << 20)]
        {
            assert_eq!(average_bytes(size_bytes), average, "{size_bytes}");
        }
    }
}

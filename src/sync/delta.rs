//! Says of each part of a new file whether the receiver has it in the file that is replaced, as far as the lists of
//! chunks of both have come.

use super::chunks::{Chunk, shortest_bytes};
use std::collections::HashMap;

/// A part of a file, to be added to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// `Some`: the receiver has it in its old file, from there on. `None`: the sender sends it, from `offset` on.
    pub(super) own: Option<u64>,
    /// Where it belongs.
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What a list of chunks may not be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong;

/// Two lists of chunks on their way.
#[derive(Debug)]
pub(super) struct Delta {
    old: List,
    new: List,
    /// Where the old file has a chunk.
    places: HashMap<[u8; 16], (u64, u32)>,
    /// For so many of the new chunks it was said.
    known: usize,
    /// The first byte of the next.
    unknown_at: u64,
}

/// The chunks of a file, as far as they have come.
#[derive(Debug)]
pub(super) struct List {
    at: u64,
    size_bytes: u64,
    chunks: Vec<Chunk>,
    whole: bool,
}

impl List {
    /// Of a file of this size.
    pub(super) fn new(size_bytes: u64) -> List {
        List { at: 0, size_bytes, chunks: Vec::new(), whole: false }
    }

    /// What has come.
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Whoever made the list may be wrong, or mean ill: it must not be longer than its file.
    pub(super) fn take(&mut self, chunks: &[Chunk], last: bool, average_bytes: u32) -> Result<(), Wrong> {
        self.at += chunks.iter().map(|chunk| u64::from(chunk.length_bytes)).sum::<u64>();
        self.chunks.extend(chunks);
        let most = self.size_bytes / u64::from(shortest_bytes(average_bytes)) + 1;
        if self.whole
            || self.chunks.len() as u64 > most
            || self.at > self.size_bytes
            || (last && self.at < self.size_bytes)
        {
            return Err(Wrong);
        }
        self.whole = last;
        Ok(())
    }
}

impl Delta {
    /// Of two files of these sizes.
    pub(super) fn new(old_bytes: u64, new_bytes: u64) -> Delta {
        let (old, new) = (List::new(old_bytes), List::new(new_bytes));
        Delta { old, new, places: HashMap::new(), known: 0, unknown_at: 0 }
    }

    /// More of the receiver's list.
    pub(super) fn add_old(&mut self, chunks: &[Chunk], last: bool, average_bytes: u32) -> Result<(), Wrong> {
        let mut at = self.old.at;
        self.old.take(chunks, last, average_bytes)?;
        for chunk in chunks {
            self.places.entry(chunk.hash).or_insert((at, chunk.length_bytes));
            at += u64::from(chunk.length_bytes);
        }
        Ok(())
    }

    /// More of the sender's list.
    pub(super) fn add_new(&mut self, chunks: &[Chunk], last: bool, average_bytes: u32) -> Result<(), Wrong> {
        self.new.take(chunks, last, average_bytes)
    }

    /// The list of the old file (`old`) or of the new one, once it is whole.
    pub(super) fn whole(&self, old: bool) -> Option<&[Chunk]> {
        let list = if old { &self.old } else { &self.new };
        list.whole.then_some(&list.chunks)
    }

    /// What can be said now, of what comes after the first `have` bytes. Nothing before the old list is whole.
    pub(super) fn parts(&mut self, have: u64) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        if !self.old.whole {
            return parts;
        }
        for chunk in &self.new.chunks[self.known..] {
            let (at, length) = (self.unknown_at, u64::from(chunk.length_bytes));
            self.unknown_at += length;
            let skip = have.saturating_sub(at).min(length);
            if skip == length {
                continue;
            }
            let place = self.places.get(&chunk.hash).filter(|(_, own_length)| *own_length == chunk.length_bytes);
            let own = place.map(|(place, _)| place + skip);
            let part = Part { own, offset: at + skip, length: length - skip };
            match parts.last_mut() {
                Some(before) if before.own.map(|own| own + before.length) == own => before.length += part.length,
                _ => parts.push(part),
            }
        }
        self.known = self.new.chunks.len();
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVERAGE: u32 = 16;

    fn chunks(list: &[(u8, u32)]) -> Vec<Chunk> {
        list.iter().map(|(name, length)| Chunk { hash: [*name; 16], length_bytes: *length }).collect()
    }

    #[test]
    fn parts_are_merged_and_what_is_there_already_is_left_out() {
        let mut delta = Delta::new(60, 90);
        delta.add_new(&chunks(&[(1, 10), (2, 20), (9, 5), (8, 5)]), false, AVERAGE).unwrap();
        assert_eq!(delta.parts(0), []);
        delta.add_old(&chunks(&[(1, 10), (2, 20), (3, 30)]), true, AVERAGE).unwrap();
        let own = |own, offset, length| Part { own: Some(own), offset, length };
        let sent = |offset, length| Part { own: None, offset, length };
        assert_eq!(delta.parts(4), [own(4, 4, 26), sent(30, 10)]);
        delta.add_new(&chunks(&[(3, 30), (1, 10), (2, 10)]), true, AVERAGE).unwrap();
        // The same name for another length is another chunk.
        assert_eq!(delta.parts(45), [own(35, 45, 25), own(0, 70, 10), sent(80, 10)]);
    }

    #[test]
    fn lists_that_cannot_be_are_wrong() {
        let short = vec![Chunk { hash: [0; 16], length_bytes: 0 }; 30];
        for (list, last) in [(chunks(&[(1, 101)]), false), (chunks(&[(1, 99)]), true), (short, false)] {
            assert_eq!(Delta::new(100, 100).add_old(&list, last, AVERAGE), Err(Wrong));
            assert_eq!(Delta::new(100, 100).add_new(&list, last, AVERAGE), Err(Wrong));
        }
        let mut delta = Delta::new(100, 100);
        delta.add_old(&chunks(&[(1, 100)]), true, AVERAGE).unwrap();
        assert_eq!(delta.add_old(&[], true, AVERAGE), Err(Wrong));
    }
}

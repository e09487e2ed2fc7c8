//! Of which chunks large files consist that were read, cut or sent lately, by what is in them: a list that is known need
//! not be made again.

use super::chunks::Chunk;
use super::tree::Hash;
use std::collections::VecDeque;
use std::sync::Arc;

/// Lists of so many files are kept, the newest ones.
const MOST_LISTS: usize = 4;
/// Longer lists are not kept: four of these take 5 MB of memory. A file of 1 GiB has a quarter of this.
pub const MOST_CHUNKS: usize = 64 << 10;

/// A few lists. What is put together by one is checked as a whole, so that a wrong one costs time only.
#[derive(Debug, Default)]
pub struct Lists(VecDeque<List>);

#[derive(Debug)]
struct List {
    hash: Hash,
    average_bytes: u32,
    chunks: Arc<[Chunk]>,
}

impl Lists {
    /// Keeps the chunks of a file of this content, cut for this average.
    pub fn keep(&mut self, hash: Hash, average_bytes: u32, chunks: impl Into<Arc<[Chunk]>>) {
        let chunks = chunks.into();
        if chunks.len() > MOST_CHUNKS {
            return;
        }
        self.0.retain(|list| list.hash != hash || list.average_bytes != average_bytes);
        self.0.push_back(List { hash, average_bytes, chunks });
        if self.0.len() > MOST_LISTS {
            self.0.pop_front();
        }
    }

    /// The chunks of a file of this content.
    pub fn get(&self, hash: &Hash, average_bytes: u32) -> Option<Arc<[Chunk]>> {
        let list = self.0.iter().find(|list| list.hash == *hash && list.average_bytes == average_bytes)?;
        Some(list.chunks.clone())
    }

    /// They turned out not to be what such a file consists of.
    pub fn forget(&mut self, hash: &Hash) {
        self.0.retain(|list| list.hash != *hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lists_are_kept_and_none_that_is_long() {
        let mut lists = Lists::default();
        let chunk = Chunk { hash: [0; 16], length_bytes: 1 };
        let keep = |lists: &mut Lists, name: u8, count: usize| lists.keep([name; 32], 64, vec![chunk; count]);
        (0..6).for_each(|name| keep(&mut lists, name, usize::from(name)));
        keep(&mut lists, 3, 9);
        keep(&mut lists, 9, MOST_CHUNKS + 1);
        let lengths: Vec<_> = (0..10).map(|name| lists.get(&[name; 32], 64).map(|chunks| chunks.len())).collect();
        assert_eq!(lengths, [None, None, Some(2), Some(9), Some(4), Some(5), None, None, None, None]);
        assert_eq!(lists.get(&[4; 32], 128), None, "cut in another way");
        lists.forget(&[4; 32]);
        assert_eq!(lists.get(&[4; 32], 64), None);
    }
}

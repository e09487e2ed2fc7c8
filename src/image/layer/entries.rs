//! A tar as a sequence of entries. Own, because its input is hostile: nothing the tar says makes it hold more in
//! memory than the limits allow, and file contents are handed on from the input's buffer without a copy.

use crate::image::layer::header::{BLOCK, Header, SparseMap};
use crate::image::layer::limits::Limits;
use crate::image::layer::pax::Pax;
use crate::image::layer::sparse::check_sparse;
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::tree::Time;
use std::io::{BufRead, ErrorKind};

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    HardLink,
    Symlink,
    Folder,
    Fifo,
    Device,
}

/// One entry, all its headers taken together.
#[derive(Debug)]
pub struct Entry {
    pub kind: EntryKind,
    /// As written: not to be trusted.
    pub path: Vec<u8>,
    /// Target of a symlink or hard link, as written.
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub time: Time,
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the file once unpacked, holes included.
    pub size_bytes: u64,
    /// For a file with holes.
    pub sparse: Option<SparseMap>,
}

/// Reads entries one after the other.
pub struct Entries<'l, R> {
    input: R,
    pub(super) limits: &'l Limits,
    count: u64,
    /// Bytes of the present entry's data not read yet.
    pub(super) data_left: u64,
    /// Bytes that fill its last block.
    padding: u64,
    /// Bytes of the tar consumed so far.
    offset: u64,
}

impl<'l, R: BufRead> Entries<'l, R> {
    pub fn new(input: R, limits: &'l Limits) -> Entries<'l, R> {
        Entries { input, limits, count: 0, data_left: 0, padding: 0, offset: 0 }
    }

    /// The next entry, or `None` at the end of the tar.
    ///
    /// # Errors
    /// The tar is damaged, cut short, or beyond a limit.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let (mut long_path, mut long_link, mut pax) = (None, None, Pax::default());
        loop {
            self.skip(self.data_left + self.padding)?;
            (self.data_left, self.padding) = (0, 0);
            let Some(block) = self.header_block()? else { return Ok(None) };
            let header = Header::check(&block)?;
            self.count += 1;
            if self.count > self.limits.entries {
                return Err(Failure::new(format!("the layer has more than {} entries", self.limits.entries)));
            }
            match header.type_flag() {
                b'L' => long_path = Some(self.long_name(&header)?),
                b'K' => long_link = Some(self.long_name(&header)?),
                b'x' => pax = Pax::parse(&self.extension(&header)?)?,
                // Defaults for all entries (git writes one with the commit), volume labels: nothing to unpack.
                b'g' | b'V' => self.begin_data(header.size()?)?,
                flag => return self.entry(flag, &header, long_path, long_link, pax).map(Some),
            }
        }
    }

    /// Some of the present entry's data, at least one byte; empty when there is no more.
    ///
    /// # Errors
    /// The input fails or ends too early.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        let chunk = self.input.fill_buf().trying(|| "cannot read the layer")?;
        if chunk.is_empty() {
            return Err(cut_short());
        }
        let length = usize::try_from(self.data_left).map_or(chunk.len(), |left| left.min(chunk.len()));
        Ok(&chunk[..length])
    }

    /// Marks bytes of [`Entries::data`] as used.
    pub fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.data_left -= bytes as u64;
        self.offset += bytes as u64;
    }

    /// Where in the tar the present entry's data begins, while none of it is read.
    pub fn data_offset(&self) -> u64 {
        self.offset
    }

    /// Tells that the caller has moved the input beyond the present entry's data and padding.
    pub fn jumped(&mut self) -> u64 {
        let bytes = self.data_left + self.padding;
        self.offset += bytes;
        (self.data_left, self.padding) = (0, 0);
        bytes
    }

    pub fn input(&mut self) -> &mut R {
        &mut self.input
    }

    fn entry(
        &mut self,
        flag: u8,
        header: &Header,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        pax: Pax,
    ) -> Result<Entry> {
        let path = pax.sparse.name.or(pax.path).or(long_path).unwrap_or_else(|| header.path());
        let kind = kind(flag, &path)?;
        let (uid, gid) = header.owner()?;
        let stored = match kind {
            EntryKind::File => pax.size.map_or_else(|| header.size(), Ok)?,
            _ => 0,
        };
        self.begin_data(stored)?;
        let (sparse, size_bytes) = if flag == b'S' {
            self.gnu_sparse(header)?
        } else if pax.sparse.map_in_data {
            (Some(self.map_from_data()?), pax.sparse.real_size.unwrap_or(0))
        } else if let (Some(real_size), false) = (pax.sparse.real_size, pax.sparse.numbers.is_empty()) {
            (Some(pax.sparse.numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()), real_size)
        } else {
            (None, stored)
        };
        if let Some(map) = &sparse {
            check_sparse(map, self.data_left, size_bytes)?;
        }
        Ok(Entry {
            kind,
            path,
            link: pax.link.or(long_link).unwrap_or_else(|| header.link()),
            mode: header.mode()?,
            uid: pax.uid.unwrap_or(uid),
            gid: pax.gid.unwrap_or(gid),
            time: match pax.time {
                Some(time) => time,
                None => Time { seconds: header.time()?, nanoseconds: 0 },
            },
            attributes: pax.attributes,
            size_bytes,
            sparse,
        })
    }

    /// A header block; `None` at the two zero blocks that end a tar, or at the end of the input.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0_u8; BLOCK];
        if !self.read_block(&mut block)? {
            return Ok(None);
        }
        if block.iter().any(|byte| *byte != 0) {
            return Ok(Some(block));
        }
        if self.read_block(&mut block)? && block.iter().any(|byte| *byte != 0) {
            return Err(Failure::new("the tar is damaged: an empty header in its middle"));
        }
        Ok(None)
    }

    /// Fills a block; false at the end of the input.
    pub(super) fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        if self.input.fill_buf().trying(|| "cannot read the layer")?.is_empty() {
            return Ok(false);
        }
        self.input.read_exact(block).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_short(),
            _ => Failure::because("cannot read the layer", error),
        })?;
        self.offset += BLOCK as u64;
        Ok(true)
    }

    fn begin_data(&mut self, size: u64) -> Result<()> {
        let padding = size.wrapping_neg() % BLOCK as u64;
        size.checked_add(padding).ok_or_else(|| Failure::new("the tar is damaged: an entry of impossible size"))?;
        (self.data_left, self.padding) = (size, padding);
        Ok(())
    }

    fn skip(&mut self, mut bytes: u64) -> Result<()> {
        while bytes > 0 {
            let have = self.input.fill_buf().trying(|| "cannot read the layer")?.len();
            if have == 0 {
                return Err(cut_short());
            }
            let step = usize::try_from(bytes).map_or(have, |bytes| bytes.min(have));
            self.input.consume(step);
            self.offset += step as u64;
            bytes -= step as u64;
        }
        Ok(())
    }

    /// The data of an extended header, whole.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = header.size()?;
        if size > self.limits.header_bytes {
            return Err(Failure::new(format!("the layer has an extended header of {size} bytes")));
        }
        self.begin_data(size)?;
        let mut bytes = Vec::with_capacity(size as usize);
        while self.data_left > 0 {
            let chunk = self.data()?;
            bytes.extend_from_slice(chunk);
            let used = chunk.len();
            self.consume(used);
        }
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>> {
        let mut name = self.extension(header)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }
}

fn kind(flag: u8, path: &[u8]) -> Result<EntryKind> {
    Ok(match flag {
        // v7 tars mark folders by the slash only.
        0 | b'0' | b'7' | b'S' if path.ends_with(b"/") => EntryKind::Folder,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' | b'4' => EntryKind::Device,
        b'5' => EntryKind::Folder,
        b'6' => EntryKind::Fifo,
        other => {
            return Err(Failure::new(format!(
                "the layer has an entry of unknown type '{}': {}",
                other.escape_ascii(),
                String::from_utf8_lossy(path)
            )));
        }
    })
}

/// That the input ends too early.
pub(super) fn cut_short() -> Failure {
    Failure::new("the tar is damaged: it ends in the middle of an entry")
}

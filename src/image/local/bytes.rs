//! Bytes at any place of a file: one of this computer, or one that a caller elsewhere has.

use crate::model::supply::{LONGEST_PIECE_BYTES, Supply};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that is read in place.
pub trait ReadAt: Send + Sync {
    /// Reads at `at`; 0 at the end.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

/// A file of an image that the caller has.
pub struct Supplied {
    pub supply: Arc<dyn Supply>,
    /// The archive, or the folder.
    pub image: PathBuf,
    /// The file below the folder.
    pub file: Option<String>,
}

impl ReadAt for Supplied {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let length = buffer.len().min(LONGEST_PIECE_BYTES);
        let piece = self.supply.piece(&self.image, self.file.as_deref(), at, length);
        let piece = piece.map_err(|failure| io::Error::other(failure.chain().join(": ")))?;
        let room = buffer.get_mut(..piece.len()).filter(|_| piece.len() <= length);
        room.ok_or_else(|| io::Error::other("more came than was asked for"))?.copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// A range of a file, read from its beginning to its end.
pub struct Part {
    pub file: Arc<dyn ReadAt>,
    pub at: u64,
    pub left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        if read == 0 && length > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut short"));
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A place in a file that moves.
pub struct Cursor<'a> {
    pub file: &'a dyn ReadAt,
    pub at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no such place"))?;
        Ok(self.at)
    }
}

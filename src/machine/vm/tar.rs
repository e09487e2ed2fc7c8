//! Reading the plain archives that guest packs are: regular files and folders with short names (POSIX.1-1988, ustar).

use crate::model::{Failure, Result, Trying};
use std::io::{ErrorKind, Read};

const BLOCK_BYTES: usize = 512;

/// One regular file.
pub struct Entry {
    /// Relative, as written.
    pub name: String,
    pub content: Vec<u8>,
}

/// Reads the next file; `None` at the end. Folders are passed over.
///
/// # Errors
/// The archive is cut short or damaged, holds something else than files and folders, or a file longer than `longest`.
pub fn next(archive: &mut impl Read, longest: u64) -> Result<Option<Entry>> {
    loop {
        let mut header = [0; BLOCK_BYTES];
        archive.read_exact(&mut header).map_err(cut_short)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if checksum(&header) != number(&header[148..156]) {
            return Err(Failure::new("it is damaged: a checksum in it is wrong"));
        }
        let name = String::from_utf8_lossy(text(&header[..100])).into_owned();
        let length = number(&header[124..136]).filter(|length| *length <= longest);
        let length = length.ok_or_else(|| Failure::new(format!("{name} in it is too long")))?;
        match header[156] {
            b'5' => continue,
            0 | b'0' => return Ok(Some(Entry { content: content(archive, length)?, name })),
            _ => return Err(Failure::new(format!("{name} in it is no file"))),
        }
    }
}

fn content(archive: &mut impl Read, length: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let padded = length.next_multiple_of(BLOCK_BYTES as u64);
    archive.take(padded).read_to_end(&mut content).trying(|| "it cannot be read")?;
    if content.len() as u64 != padded {
        return Err(cut_short(ErrorKind::UnexpectedEof.into()));
    }
    content.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(content)
}

fn cut_short(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof => Failure::new("it is cut short"),
        _ => Failure::because("it cannot be read", error),
    }
}

/// A field up to its first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn number(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text(field)).ok()?.trim(), 8).ok()
}

/// The sum of all bytes, the checksum itself counting as blanks.
fn checksum(header: &[u8; BLOCK_BYTES]) -> Option<u64> {
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = header[148..156].iter().map(|byte| u64::from(*byte)).sum();
    Some(sum - own + 8 * u64::from(b' '))
}

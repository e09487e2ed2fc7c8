//! One 512-byte tar header: ustar, GNU and v7 (tar(5)).

use crate::model::{Failure, Result};

/// Size of a tar block and of a header.
pub const BLOCK: usize = 512;

/// Where the data of a file with holes belongs: offsets and lengths, ascending.
pub type SparseMap = Vec<(u64, u64)>;

/// A header block, its checksum verified.
pub struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// # Errors
    /// The checksum does not fit.
    pub fn check(block: &'a [u8; BLOCK]) -> Result<Header<'a>> {
        let header = Header(block);
        let wanted = header.number(148, 8)?;
        // The checksum counts its own field as blanks; old tars added the bytes as signed numbers.
        let blanked = |i: usize| if (148..156).contains(&i) { b' ' } else { block[i] };
        let unsigned: u64 = (0..BLOCK).map(|i| u64::from(blanked(i))).sum();
        let signed: i64 = (0..BLOCK).map(|i| i64::from(blanked(i) as i8)).sum();
        if wanted != unsigned && i64::try_from(wanted) != Ok(signed) {
            return Err(Failure::new("the tar is damaged: a header's checksum does not fit"));
        }
        Ok(header)
    }

    pub fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// Name, with the ustar prefix.
    pub fn path(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0, 100), self.text(345, 155));
        // GNU ("ustar  ") keeps times where POSIX ("ustar\0") keeps the prefix.
        if &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    pub fn link(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    /// # Errors
    /// The field is no number.
    pub fn mode(&self) -> Result<u32> {
        Ok(self.number(100, 8)? as u32 & 0o7777)
    }

    /// # Errors
    /// The field is no number.
    pub fn owner(&self) -> Result<(u64, u64)> {
        Ok((self.number(108, 8)?, self.number(116, 8)?))
    }

    /// # Errors
    /// The field is no number.
    pub fn size(&self) -> Result<u64> {
        self.number(124, 12)
    }

    /// Seconds; base-256 fields can be before 1970.
    ///
    /// # Errors
    /// The field is no number.
    pub fn time(&self) -> Result<i64> {
        let field = &self.0[136..148];
        if field[0] == 0xff {
            return Ok(field[4..].iter().fold(-1_i64, |value, byte| (value << 8) | i64::from(*byte)));
        }
        Ok(i64::try_from(self.number(136, 12)?).unwrap_or(0))
    }

    /// The four map entries of an old GNU sparse header, whether more follow, and the file's real size.
    ///
    /// # Errors
    /// A field is no number.
    pub fn sparse(&self) -> Result<(SparseMap, bool, u64)> {
        Ok((sparse_map(&self.0[386..482])?, self.0[482] != 0, self.number(483, 12)?))
    }

    fn text(&self, at: usize, length: usize) -> &[u8] {
        let field = &self.0[at..at + length];
        &field[..field.iter().position(|byte| *byte == 0).unwrap_or(length)]
    }

    fn number(&self, at: usize, length: usize) -> Result<u64> {
        number(&self.0[at..at + length])
    }
}

/// Pairs of offset and length; an empty pair ends them.
///
/// # Errors
/// A field is no number.
pub fn sparse_map(fields: &[u8]) -> Result<SparseMap> {
    let mut map = Vec::new();
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        map.push((number(&pair[..12])?, number(&pair[12..])?));
    }
    Ok(map)
}

/// A numeric field: octal digits among blanks and zero bytes, or big-endian binary with the first bit set.
fn number(field: &[u8]) -> Result<u64> {
    let wrong = || Failure::new("the tar is damaged: a header's number is none");
    if field[0] & 0x80 != 0 {
        let mut value = u64::from(field[0] & 0x7f);
        for byte in &field[1..] {
            value = value.checked_mul(256).ok_or_else(wrong)? + u64::from(*byte);
        }
        return Ok(value);
    }
    let digits = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    digits.iter().try_fold(0_u64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + u64::from(byte - b'0')).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

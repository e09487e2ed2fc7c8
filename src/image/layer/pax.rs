//! Extended headers of POSIX tars (pax(1), "pax Extended Header"), with GNU's sparse keys and star's attributes.

use crate::model::{Failure, Result};
use crate::sys::linux::tree::Time;

/// What one extended header says of the entry after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub time: Option<Time>,
    /// `SCHILY.xattr.NAME`.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: PaxSparse,
}

/// The `GNU.sparse.*` keys of formats 0.0, 0.1 and 1.0.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PaxSparse {
    /// Format 1.0: the map stands before the data.
    pub map_in_data: bool,
    pub name: Option<Vec<u8>>,
    pub real_size: Option<u64>,
    /// Offsets and lengths in turn.
    pub numbers: Vec<u64>,
}

impl Pax {
    /// Records of the form `LENGTH KEY=VALUE\n`, LENGTH counting the whole record.
    ///
    /// # Errors
    /// A record of another shape.
    pub fn parse(mut text: &[u8]) -> Result<Pax> {
        let mut pax = Pax::default();
        while !text.is_empty() && text[0] != 0 {
            let record = take_record(&mut text)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            pax.keep(&record[..equals], &record[equals + 1..])?;
        }
        Ok(pax)
    }

    fn keep(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.time = Some(time(value)?),
            b"GNU.sparse.major" => self.sparse.map_in_data = value == b"1",
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.numbers.push(decimal(value)?),
            b"GNU.sparse.map" => {
                self.sparse.numbers = value.split(|byte| *byte == b',').map(decimal).collect::<Result<_>>()?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Cuts the first record off `text` and gives its inside.
fn take_record<'a>(text: &mut &'a [u8]) -> Result<&'a [u8]> {
    let blank = text.iter().take(20).position(|byte| *byte == b' ').ok_or_else(damaged)?;
    let length = usize::try_from(decimal(&text[..blank])?).map_err(|_| damaged())?;
    if length <= blank + 1 || length > text.len() || text[length - 1] != b'\n' {
        return Err(damaged());
    }
    let record = &text[blank + 1..length - 1];
    *text = &text[length..];
    Ok(record)
}

/// A decimal number of digits only.
///
/// # Errors
/// Something else.
pub fn decimal(text: &[u8]) -> Result<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(damaged)
}

/// `[-]SECONDS[.FRACTION]`.
fn time(text: &[u8]) -> Result<Time> {
    let text = std::str::from_utf8(text).map_err(|_| damaged())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| damaged())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().map_err(|_| damaged())?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Ok(Time { seconds: seconds.saturating_sub(1), nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Ok(Time { seconds, nanoseconds })
}

fn damaged() -> Failure {
    Failure::new("the tar is damaged: an extended header has the wrong shape")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let pax = Pax::parse(b"12 path=a=b\n20 mtime=1.25000000\n27 SCHILY.xattr.user.a=x\0\n\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(b"a=b".as_slice()));
        assert_eq!(pax.time, Some(Time { seconds: 1, nanoseconds: 250_000_000 }));
        assert_eq!(pax.attributes, [(b"user.a".to_vec(), b"x\0\n".to_vec())]);
        assert_eq!(time(b"-1.5").unwrap(), Time { seconds: -2, nanoseconds: 500_000_000 });
    }

    #[test]
    fn damaged_records_are_refused() {
        for text in ["5 a=b\n", "99999999999999999999 a=b\n", "x a=b\n", "6 ab\n", "0 a=b\n", "12 size=-1x\n", "7 a=bc"]
        {
            assert!(Pax::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

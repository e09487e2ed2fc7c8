//! The guest's clock and timezone. Its own clock stands still whenever the host sleeps; the host sets it.

use super::complain;
use crate::model::guest::Seed;
use crate::model::{Result, Trying};
use crate::sys::linux::clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;

/// Where programs look for the timezone.
const TIMEZONE_PATH: &str = "/etc/localtime";

/// What a timezone may measure: the largest of the tz database has 4 KB.
const LONGEST_TIMEZONE_BYTES: usize = 64 << 10;

/// Sets the clock to the host's time, and the timezone: the bytes of its `/etc/localtime`, base64.
///
/// # Errors
/// No such time or timezone.
pub fn set(unix_nanoseconds: i64, timezone: Option<&str>) -> Result<()> {
    clock::set(unix_nanoseconds).trying(|| "cannot set the guest's clock")?;
    timezone.map_or(Ok(()), set_timezone)
}

/// The same with the time of the guest's birth, which was as long ago as the kernel runs.
pub fn set_at_boot(seed: &Seed) {
    let since_boot_nanoseconds = clock::since_boot().as_nanos() as i64;
    let now = seed.unix_nanoseconds.saturating_add(since_boot_nanoseconds);
    // A host whose timezone cannot be read has told us no less than one without any: UTC.
    if let Err(failure) = set(now, seed.timezone.as_deref()) {
        complain(&failure);
    }
}

fn set_timezone(encoded: &str) -> Result<()> {
    let bytes = STANDARD.decode(encoded).trying(|| "cannot read the host's timezone")?;
    // "TZif" begins every such file (RFC 8536, 3.1).
    if !bytes.starts_with(b"TZif") || bytes.len() > LONGEST_TIMEZONE_BYTES {
        return Err(crate::model::Failure::new("what the host sent is no timezone"));
    }
    if fs::read(TIMEZONE_PATH).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    crate::sys::fs::write_atomically(TIMEZONE_PATH.as_ref(), &bytes)
}

//! Wall-clock time and the host's time zone.

use std::io;
use std::path::Path;
use std::time::Duration;

/// The time now in UTC as RFC 3339 writes it, to the second.
pub fn now_rfc3339() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Sets the wall clock, nanoseconds since 1970 UTC (clock_settime(2)).
///
/// # Errors
/// Only root may; no clock goes that far.
pub fn set(unix_nanoseconds: i64) -> io::Result<()> {
    let time = libc::timespec {
        tv_sec: unix_nanoseconds.div_euclid(1_000_000_000) as _,
        tv_nsec: unix_nanoseconds.rem_euclid(1_000_000_000) as _,
    };
    // SAFETY: `time` outlives the call.
    let result = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How long this kernel runs, sleep included (CLOCK_BOOTTIME).
pub fn since_boot() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`. Every kernel has this clock (2.6.39).
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Name of the host's time zone, when it has one: from where /etc/localtime leads, else /etc/timezone.
pub fn host_zone() -> Option<String> {
    let linked = std::fs::canonicalize("/etc/localtime").ok();
    let from_link =
        linked.as_deref().and_then(|path| path.strip_prefix("/usr/share/zoneinfo").ok()).map(Path::to_owned);
    match from_link {
        Some(zone) => zone.to_str().map(str::to_owned),
        None => {
            std::fs::read_to_string("/etc/timezone").ok().map(|text| text.trim().to_owned()).filter(|z| !z.is_empty())
        }
    }
}

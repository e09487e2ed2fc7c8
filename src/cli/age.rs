//! Times as people say them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, UTC.
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long ago an RFC 3339 time in UTC was: `5s`, `3m`, `2h`, `4d`. `None`: it is no such time.
pub fn age(time: &str, now_seconds: u64) -> Option<String> {
    Some(span(now_seconds.saturating_sub(unix_seconds(time)?)))
}

/// A length of time in its largest unit: `5s`, `3m`, `2h`, `4d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z` (RFC 3339, section 5.6) as seconds since 1970.
fn unix_seconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separator: char| -> Option<[u64; 3]> {
        let parts: Vec<u64> = text.split(separator).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        parts.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock.split('.').next()?, ':')?;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // A year that begins in March has its leap day at the end, so months before one take a fixed number of days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days(year) + (153 * month + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_seconds() {
        for (time, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-01-01T00:00:00.123Z", Some(1_767_225_600)),
            ("2026-01-01", None),
            ("2026-13-01T00:00:00Z", None),
            ("x", None),
        ] {
            assert_eq!(unix_seconds(time), seconds, "{time}");
        }
        assert_eq!(age("1970-01-01T00:00:00Z", 7200).as_deref(), Some("2h"));
    }
}

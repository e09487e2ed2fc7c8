//! How long to wait for a registry and how often to ask again.

use std::time::Duration;

/// Times for one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    pub connect_ms: u64,
    /// Without a byte for so long, a connection counts as cut.
    pub stall_ms: u64,
    /// Tries in a row that bring nothing new before giving up.
    pub attempts: u32,
    /// Pause before the second try; doubled before each further one.
    pub back_off_ms: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect_ms: 10_000, stall_ms: 30_000, attempts: 5, back_off_ms: 300 }
    }
}

/// Longest pause between two tries, also when the registry asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Patience {
    /// The pause after `failed` tries in a row, or what the registry asked for (`Retry-After`).
    pub fn pause(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.back_off_ms.saturating_mul(1 << failed.saturating_sub(1).min(10));
        asked.unwrap_or(Duration::from_millis(doubled)).min(LONGEST_PAUSE)
    }
}

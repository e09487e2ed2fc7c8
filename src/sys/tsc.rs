//! The processor's time stamp counter.

use core::arch::x86_64::_rdtsc;
use std::time::{Duration, Instant};

/// Long enough that reading two clocks one after the other does not matter.
const SPAN: Duration = Duration::from_millis(5);
/// One of these is not interrupted between the two clocks, on the busiest computer.
const TRIES: usize = 16;

/// How often it counts in a millisecond; `None`: it cannot be told.
pub fn kilohertz() -> Option<u32> {
    let first = look();
    std::thread::sleep(SPAN);
    let last = look();
    let counted = u128::from(last.1.checked_sub(first.1)?);
    let nanoseconds = last.0.duration_since(first.0).as_nanos();
    u32::try_from(counted.checked_mul(1_000_000)?.checked_div(nanoseconds)?).ok().filter(|khz| *khz > 0)
}

/// Both clocks at one moment.
fn look() -> (Instant, u64) {
    let once = || {
        let before = Instant::now();
        // SAFETY: every x86-64 processor has the instruction; it reads a counter and nothing else.
        let count = unsafe { _rdtsc() };
        (before.elapsed(), before, count)
    };
    let (_, moment, count) =
        (0..TRIES).map(|_| once()).min_by_key(|(took, ..)| *took).expect("TRIES is more than none");
    (moment, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_fast_as_processors_do_and_the_same_twice() {
        let (first, second) = (kilohertz().unwrap(), kilohertz().unwrap());
        assert!((500_000..10_000_000).contains(&first), "{first}");
        assert!(first.abs_diff(second) < first / 100, "{first} {second}");
    }
}

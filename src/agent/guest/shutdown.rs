//! The guest's end: everybody is asked to leave, then made to, and the disk is left clean.

use super::disk;
use crate::sys::linux::{mount, power, signal};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long programs in boxes may take to end, as `stop` gives them.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the kernel may take to bury those who were killed.
const BURIAL: Duration = Duration::from_secs(3);

/// Everyone.
const ALL: i32 = -1;

/// Ends all processes and writes everything to the disk.
pub fn shut_down() {
    for (ask, patience) in [(signal::TERMINATE, PATIENCE), (signal::KILL, BURIAL)] {
        signal::send(ALL, ask);
        // One that was stopped hears nothing else.
        signal::send(ALL, signal::CONTINUE);
        if nobody_left_within(patience) {
            break;
        }
    }
    power::write_all_to_disk();
    if let Err(error) = mount::unmount_or_freeze(Path::new(disk::FOLDER)) {
        super::say(&format!("devenv-guest: cannot unmount the disk: {error}"));
    }
}

/// Process 1 inherits every process whose parent has ended: when it has no children, there is nobody else.
fn nobody_left_within(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        while signal::reap().is_some() {}
        if !signal::has_children() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        signal::wait(Some(left));
    }
}

//! Which start of this computer it is.

use std::fs;

/// Identity of this boot (random(4), `/proc/sys/kernel/random/boot_id`); empty where nobody can say.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

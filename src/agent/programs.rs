//! Programs of ours in the cache folder over there: those that nobody used for long go.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A program that was not started for so long is removed; it would be put there again.
const UNUSED: Duration = Duration::from_secs(60 * 24 * 3600);
/// Programs lie in folders named by their digest, in hexadecimal.
const DIGEST_LETTERS: usize = 64;

/// Notes that this program was used, and removes what was not for long. Nothing depends on it: what cannot be done is
/// left.
pub fn tidy() {
    let Ok(own) = std::env::current_exe() else { return };
    let Some(folder) = own.parent().filter(|folder| is_digest(folder)) else { return };
    let now = SystemTime::now();
    let _ = File::open(folder).and_then(|opened| opened.set_times(FileTimes::new().set_modified(now)));
    let beside = folder.parent().and_then(|all| fs::read_dir(all).ok()).into_iter().flatten().flatten();
    for other in beside.map(|entry| entry.path()).filter(|other| other != folder && is_digest(other)) {
        let used = fs::symlink_metadata(&other).and_then(|facts| facts.modified());
        if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|unused| unused > UNUSED)) {
            let _ = fs::remove_dir_all(&other);
        }
    }
}

fn is_digest(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == DIGEST_LETTERS && name.iter().all(u8::is_ascii_hexdigit)
}

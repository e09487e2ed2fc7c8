//! The keeper's log: its standard error, a file that never grows beyond a bound.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

/// Beyond this it begins anew: what matters are the last lines.
const LONGEST_BYTES: u64 = 1 << 20;

/// Writes a line.
pub fn log(text: &str) {
    let stderr = std::io::stderr();
    if let Ok(file) = stderr.as_fd().try_clone_to_owned().map(File::from)
        && file.metadata().is_ok_and(|facts| facts.is_file() && facts.len() > LONGEST_BYTES)
    {
        // The file was opened to append, so the next line is its first.
        let _ = file.set_len(0);
    }
    let _ = writeln!(stderr.lock(), "{text}");
}

//! What a guest writes to its serial console, as far as its host needs to understand it.

use crate::model::guest::{READY_LINE, TROUBLE_PREFIX};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where a guest is on its way to serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was said yet.
    Silent,
    Starting,
    Ready,
    /// It cannot go on, and says why.
    Trouble(String),
}

/// More of a console is not looked at: a guest is ready within a few lines.
const LONGEST_CONSOLE_BYTES: u64 = 1 << 20;

/// The console so far; nothing when there is none.
pub fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before an error is what there is.
        let _ = file.take(LONGEST_CONSOLE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the console says. A line counts when it is complete.
pub fn progress(console: &str) -> Progress {
    let complete = console.rsplit_once('\n').map_or("", |(lines, _)| lines);
    for line in complete.lines().map(str::trim_end) {
        if line.ends_with(READY_LINE) {
            return Progress::Ready;
        }
        // The kernel may have left half a line before it.
        if let Some((_, why)) = line.split_once(TROUBLE_PREFIX) {
            return Progress::Trouble(why.trim().to_owned());
        }
    }
    if console.is_empty() { Progress::Silent } else { Progress::Starting }
}

/// How Linux begins the line that says why it stopped; registers and addresses follow.
const PANIC: &str = "Kernel panic";

/// The last `count` lines with anything in them, without what would move a terminal's cursor. What a kernel prints behind
/// the reason of its end is left out.
pub fn last_lines(console: &str, count: usize) -> Vec<String> {
    let lines = console.lines().map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>());
    let mut said: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    if let Some(end) = said.iter().position(|line| line.contains(PANIC)) {
        said.truncate(end + 1);
    }
    said.split_off(said.len().saturating_sub(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_and_trouble_are_seen_in_whole_lines() {
        assert_eq!(progress(""), Progress::Silent);
        assert_eq!(progress("[ 0.1] kernel"), Progress::Starting);
        assert_eq!(progress(&format!("x\r\n{READY_LINE}")), Progress::Starting);
        assert_eq!(progress(&format!("x\r\n{READY_LINE}\r\n")), Progress::Ready);
        assert_eq!(progress(&format!("[ 0.3] half {READY_LINE}\n")), Progress::Ready);
        assert_eq!(progress(&format!("{TROUBLE_PREFIX}no disk\r\n")), Progress::Trouble("no disk".into()));
        assert_eq!(progress(&format!("{TROUBLE_PREFIX}no di")), Progress::Starting);
    }

    #[test]
    fn the_last_lines_are_fit_to_be_shown() {
        assert_eq!(last_lines("a\r\n\r\n\u{1b}[31mb\r\nc\n", 2), ["[31mb", "c"]);
        assert_eq!(last_lines("a\nKernel panic - not syncing\nRSP: 0\n", 2), ["a", "Kernel panic - not syncing"]);
        assert_eq!(last_lines("", 3), Vec::<String>::new());
    }
}

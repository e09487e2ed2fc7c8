//! Whether anything is going on in a family of processes (`proc(5)`).

use std::fs;
use std::path::Path;

/// Whether `first` has descendants and all their threads wait for something to happen. `None`: this kernel does not
/// tell who descends from whom (CONFIG_PROC_CHILDREN).
pub fn descendants_wait(first: u32) -> Option<bool> {
    let mut families = children(first)?;
    let mut some = false;
    while let Some(pid) = families.pop() {
        some = true;
        if !threads_wait(pid) {
            return Some(false);
        }
        families.extend(children(pid).unwrap_or_default());
    }
    Some(some)
}

/// Those of the first thread: others may have some as well, and then this thread waits for them or for another.
fn children(pid: u32) -> Option<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(text.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

fn threads_wait(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| state(&thread.path()) == Some('S'))
}

/// The third field of `stat`; the second, the name, stands in parentheses and may hold anything.
fn state(task: &Path) -> Option<char> {
    let text = fs::read_to_string(task.join("stat")).ok()?;
    text[text.rfind(')')? + 1..].trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    #[test]
    fn a_family_waits_when_all_of_it_does() {
        let script = |text: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", text]).stdin(Stdio::piped()).spawn().unwrap()
        };
        let mut waiting = script("cat; true");
        let mut busy = script("(while :; do :; done) & cat; kill $!");
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants_wait(waiting.id()) == Some(false) {
            assert!(Instant::now() < deadline, "cat does not wait for its input");
        }
        let without = children(std::process::id()).is_none();
        assert_eq!(descendants_wait(waiting.id()), (!without).then_some(true));
        while children(busy.id()).is_some_and(|found| found.len() < 2) {
            assert!(Instant::now() < deadline, "the loop does not begin");
        }
        assert_ne!(descendants_wait(busy.id()), Some(true));
        for child in [&mut waiting, &mut busy] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

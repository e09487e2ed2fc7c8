//! What the guest is and what runs in it, for people who look for a fault: there is no shell to look with.

use super::disk;
use crate::sys::fs::free_bytes;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The report as text.
pub fn report() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    line("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned());
    line("up", format!("{} s", read("/proc/uptime").split('.').next().unwrap_or_default()));
    line("load", read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "));
    line("processors", read("/sys/devices/system/cpu/online").trim().to_owned());
    let memory = read("/proc/meminfo");
    line(
        "memory",
        format!("{} MB used of {} MB", used_kilobytes(&memory) >> 10, kilobytes(&memory, "MemTotal:") >> 10),
    );
    let free = free_bytes(Path::new(disk::FOLDER)).unwrap_or(0);
    line("disk", format!("{} MB free", free >> 20));
    text.push_str("\n    PID  PARENT      KB  PROGRAM\n");
    text.push_str(&processes());
    text
}

/// Memory that is taken and would not be given up when asked for: what backs files is, except that the guest's first file
/// system has nothing behind it.
fn used_kilobytes(memory: &str) -> u64 {
    let sum = |fields: &[&str]| fields.iter().map(|field| kilobytes(memory, field)).sum::<u64>();
    let reclaimable = sum(&["MemFree:", "Buffers:", "Cached:", "SReclaimable:"]);
    let kept = kilobytes(memory, "Shmem:").max(kilobytes(memory, "Unevictable:"));
    (kilobytes(memory, "MemTotal:") + kept).saturating_sub(reclaimable)
}

/// A field of /proc/meminfo or /proc/PID/status (proc(5)).
fn kilobytes(text: &str, field: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A line for each process that is no thread of the kernel's.
fn processes() -> String {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(process).collect()
}

fn process(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|words| !words.is_empty())?;
    let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    let shown: String = words.chars().filter(|c| !c.is_control()).take(100).collect();
    let (parent, resident) = (kilobytes(&status, "PPid:"), kilobytes(&status, "VmRSS:"));
    Some(format!("{pid:>7} {parent:>7} {resident:>7}  {shown}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_can_be_reported_on() {
        let text = report();
        assert!(text.contains("\nmemory      "), "{text}");
        assert!(text.lines().any(|line| line.trim_start().starts_with(&format!("{} ", std::process::id()))), "{text}");
        assert_eq!(kilobytes("A: 1 kB\nMemTotal:   204 kB\n", "MemTotal:"), 204);
        assert_eq!(kilobytes("", "MemTotal:"), 0);
    }
}

//! Facts about this process, the kernel and the accounts of the computer.

pub use crate::sys::account::{Account, accounts, gid, uid};
pub use crate::sys::boot::boot_id;
pub use crate::sys::terminal::has_terminal;
use std::fs;
use std::path::Path;

/// Major and minor version of the running kernel.
pub fn kernel_version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether the file system that holds `path` is mounted read-only (statvfs(3)); `false` where there is no such path.
pub fn is_read_only(path: &Path) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(path).is_ok_and(|facts| facts.flags().contains(FsFlags::ST_RDONLY))
}

/// Lets processes of the same user enter this one's namespaces (prctl(2), PR_SET_DUMPABLE): a change of
/// credentials had taken it away.
pub fn set_dumpable() {
    let _ = nix::sys::prctl::set_dumpable(true);
}

/// Has the kernel spare this process (below 0, which needs CAP_SYS_RESOURCE) or choose it (above) when memory runs out
/// (proc_pid_oom_score_adj(5)). Where that is not allowed, nothing changes.
pub fn prefer_at_memory_shortage(score: i32) {
    let _ = fs::write("/proc/self/oom_score_adj", score.to_string());
}

/// Keeps processes without CAP_SYS_PTRACE from looking into this one, until it executes another program.
pub fn clear_dumpable() {
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// Name and members of each group in the text of a group file (group(5)), with its id.
pub fn groups(group: &str) -> impl Iterator<Item = (String, u32, Vec<String>)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let gid = fields.nth(1)?.parse().ok()?;
        let members =
            fields.next().unwrap_or_default().split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
        Some((name, gid, members))
    })
}

/// Name of the file system that holds `path` when it is one of those that cannot be an overlay's upper layer, or
/// that is known to matter (statfs(2)).
pub fn file_system(path: &Path) -> Option<&'static str> {
    let kind = nix::sys::statfs::statfs(path).ok()?.filesystem_type();
    // Numbers from linux/magic.h.
    Some(match kind.0 as i64 {
        0x6969 => "nfs",
        0x794c_7630 => "overlay",
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        0x6367_7270 => "cgroup2",
        0x0102_1994 => "tmpfs",
        0xef53 => "ext",
        0x9123_683e => "btrfs",
        0x5846_5342 => "xfs",
        _ => return None,
    })
}

/// Names this process in `ps` and `top` (prctl(2), PR_SET_NAME): at most 15 bytes.
pub fn set_name(name: &std::ffi::CStr) {
    let _ = nix::sys::prctl::set_name(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_and_group_lines_are_read_and_broken_ones_passed_over() {
        let text = "root:x:0:0:root:/root:/bin/bash\nbroken\nme:x:1000:1001:Me,,,:/home/me:\n:x:1:1:::\n";
        let found: Vec<_> = accounts(text).map(|a| (a.name, a.uid, a.gid, a.home, a.shell)).collect();
        assert_eq!(
            found,
            [
                ("root".into(), 0, 0, "/root".into(), "/bin/bash".into()),
                ("me".into(), 1000, 1001, "/home/me".into(), String::new())
            ]
        );
        let found: Vec<_> = groups("adm:x:4:me,you\nme:x:1001:\n").collect();
        assert_eq!(found, [("adm".into(), 4, vec!["me".into(), "you".into()]), ("me".into(), 1001, vec![])]);
    }
}

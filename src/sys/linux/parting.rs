//! Letting mounts go: the last of a mount namespace's processes unmounts all there is in it, and the kernel writes
//! everything of the disk below an overlay to it before the overlay is gone (`ovl_sync_fs`). On a busy disk that takes
//! many seconds (20 were seen beside a build), in which the process does not end.

use super::clone::{Forked, Namespaces, fork_into, open_namespace};
use super::pidfd::Process;
use super::pipe;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// The mount namespace of a process, which outlives the process as long as this is held.
pub struct HeldMounts(OwnedFd);

impl HeldMounts {
    /// `None`: the process is ending already, or is another user's.
    pub fn of(process: &Process) -> Option<HeldMounts> {
        open_namespace(&format!("/proc/{}/ns/mnt", process.pid())).ok().map(HeldMounts)
    }

    /// Lets go. When the kernel takes longer than `patience`, what is left is done by a process that only ends.
    pub fn let_go(self, patience: Duration) {
        // Whoever closes the last descriptor does the work: that process waits until ours is closed.
        let Ok((wait, go)) = pipe::new() else { return };
        match fork_into(Namespaces::default()) {
            Ok(Forked::Child) => end_after(&self.0, &wait),
            Ok(Forked::Parent { pid, pidfd }) => {
                drop(self);
                drop(go);
                if !Process::from_parts(pidfd, pid as u32).wait(patience) {
                    std::thread::spawn(move || reap(pid));
                    return;
                }
                reap(pid);
            }
            // It is closed here, and waited for.
            Err(_) => {}
        }
    }
}

/// Becomes a process that holds nothing but `namespace`, and ends when the other end of `wait` is closed.
fn end_after(namespace: &OwnedFd, wait: &OwnedFd) -> ! {
    let mut byte = 0_u8;
    // SAFETY: this process has one thread and memory that others may have been writing, so there are only system calls
    // that take numbers and a byte of this stack, and its descriptors are used by nobody else.
    unsafe {
        let namespace = libc::fcntl(namespace.as_raw_fd(), libc::F_DUPFD, 3);
        let wait = libc::fcntl(wait.as_raw_fd(), libc::F_DUPFD, 3);
        libc::dup2(namespace, 0);
        libc::dup2(wait, 1);
        libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0);
        while libc::read(1, (&raw mut byte).cast(), 1) < 0 && *libc::__errno_location() == libc::EINTR {}
        libc::_exit(0)
    }
}

fn reap(pid: i32) {
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_link;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn mounts_outlive_their_process_until_they_are_let_go() {
        let arguments = ["--user", "--map-root-user", "--mount", "sleep", "1000"];
        let mut sleeper = Command::new("unshare").args(arguments).spawn().unwrap();
        let process = Process::open(sleeper.id()).unwrap();
        let (link, deadline) = (format!("/proc/{}/ns/mnt", sleeper.id()), Instant::now() + Duration::from_secs(10));
        while read_link(&link).unwrap() == read_link("/proc/self/ns/mnt").unwrap() {
            assert!(Instant::now() < deadline, "no namespace of its own");
        }
        let held = HeldMounts::of(&process).unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(HeldMounts::of(&process).is_none(), "it has ended");
        let began = Instant::now();
        held.let_go(Duration::from_secs(60));
        assert!(began.elapsed() < Duration::from_secs(60), "who lets it go ends");
    }
}

//! Processes by descriptor: no process id can be mistaken for another one's (pidfd_open(2)).

pub use crate::model::process::Identity;
use crate::model::{Result, Trying};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

impl Identity {
    /// The identity of the live process `pid`; `None` when there is none.
    pub fn of(pid: u32) -> Option<Identity> {
        Some(Identity { pid, start_ticks: start_ticks(pid)?, boot_id: super::facts::boot_id() })
    }

    /// Opens the process if it still lives.
    pub fn open(&self) -> Option<Process> {
        if self.boot_id != super::facts::boot_id() {
            return None;
        }
        let process = Process::open(self.pid).ok()?;
        // The check comes after opening: from here on the descriptor means this process and no other.
        (start_ticks(self.pid) == Some(self.start_ticks) && !process.has_ended()).then_some(process)
    }

    pub fn is_alive(&self) -> bool {
        self.open().is_some()
    }
}

/// PF_EXITING in the flags of a process (the kernel's include/linux/sched.h).
const EXITING: u64 = 4;

/// SIGKILL among pending signals.
const KILLED: u64 = 1 << 8;

fn start_ticks(pid: u32) -> Option<u64> {
    stat_field(&stat(pid)?, 22)
}

fn stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// A number among the fields of proc_pid_stat(5), counted as there.
fn stat_field(stat: &str, field: usize) -> Option<u64> {
    // The command name may hold blanks and brackets; the fields after its last bracket are plain.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(field - 3)?.parse().ok()
}

/// Whether a process ends, or was killed and has not been at work since: on a busy computer that takes a while.
fn is_doomed(stat: &str) -> bool {
    let has = |field, bit| stat_field(stat, field).is_none_or(|bits| bits & bit != 0);
    has(9, EXITING) || has(31, KILLED)
}

/// A descriptor of a process.
pub struct Process {
    pidfd: OwnedFd,
    pid: u32,
}

impl Process {
    /// Opens process `pid`.
    ///
    /// # Errors
    /// There is no such process.
    pub fn open(pid: u32) -> Result<Process> {
        // SAFETY: plain numbers in, a new descriptor or -1 out.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).trying(|| format!("cannot open process {pid}"));
        }
        // SAFETY: the kernel just gave us this descriptor.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Ok(Process { pidfd, pid })
    }

    /// The process a descriptor from clone3(2) stands for.
    pub fn from_parts(pidfd: OwnedFd, pid: u32) -> Process {
        Process { pidfd, pid }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process has ended (a zombie has).
    pub fn has_ended(&self) -> bool {
        self.wait_until(Some(Instant::now()))
    }

    /// Whether it has ended or will without further doing: a killed first process of a pid namespace waits for all
    /// others in it.
    pub fn is_ending(&self) -> bool {
        stat(self.pid).is_none_or(|stat| is_doomed(&stat)) || self.has_ended()
    }

    /// Sends a signal; a process that is gone is fine.
    pub fn signal(&self, number: i32) {
        // SAFETY: no siginfo is passed; the descriptor is ours.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), number, std::ptr::null::<u8>(), 0);
        }
    }

    /// Waits for the end of the process; false when `timeout` passed before.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(Some(Instant::now() + timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = match left {
                Some(left) => PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
                None => PollTimeout::NONE,
            };
            match poll(&mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return false,
                Ok(0) | Err(nix::Error::EINTR) => {}
                _ => return true,
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_outlives_neither_its_process_nor_its_boot() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".into(), ..own }.is_alive());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = Identity::of(child.id());
        child.wait().unwrap();
        assert!(!identity.is_some_and(|identity| identity.is_alive()));
    }

    #[test]
    fn who_was_killed_is_ending_before_it_has_noticed() {
        let stat = |flags: u64, pending: u64| {
            format!(
                "7 (a) b) S 1 7 7 0 -1 {flags} 1 0 0 0 1 1 0 0 20 0 4 0 99 1 1 1 1 1 1 1 1 {pending} 0 0 0 0 0 0 17 0"
            )
        };
        assert!(!is_doomed(&stat(4_194_560, 0)));
        assert!(!is_doomed(&stat(4_194_560, 1 << 14)), "asked to end is not killed");
        assert!(is_doomed(&stat(4_194_560, 256)));
        assert!(is_doomed(&stat(4_194_564, 0)));
        assert!(!is_doomed(&super::stat(std::process::id()).unwrap()));
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(!process.is_ending());
        process.signal(libc::SIGKILL);
        assert!(process.is_ending(), "from the very moment");
        child.wait().unwrap();
    }
}

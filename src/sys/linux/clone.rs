//! New processes in new namespaces, and entering existing ones.

use crate::model::{Result, Trying};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Namespaces a new process can get or a process can enter (namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub user: bool,
    pub mount: bool,
    pub pid: bool,
    pub ipc: bool,
    pub uts: bool,
    pub net: bool,
    pub cgroup: bool,
}

impl Namespaces {
    fn flags(self) -> CloneFlags {
        let pairs = [
            (self.user, CloneFlags::CLONE_NEWUSER),
            (self.mount, CloneFlags::CLONE_NEWNS),
            (self.pid, CloneFlags::CLONE_NEWPID),
            (self.ipc, CloneFlags::CLONE_NEWIPC),
            (self.uts, CloneFlags::CLONE_NEWUTS),
            (self.net, CloneFlags::CLONE_NEWNET),
            (self.cgroup, CloneFlags::CLONE_NEWCGROUP),
        ];
        pairs.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| *flag).collect()
    }
}

/// What `fork_into` returns in each of the two processes.
pub enum Forked {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Arguments of clone3(2), first version of the struct with the later fields at zero.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    rest: [u64; 6],
}

/// Forks, the child in new namespaces. Only for processes with one thread.
///
/// # Errors
/// As clone3(2): limits of namespaces or processes, or not allowed.
pub fn fork_into(namespaces: Namespaces) -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArgs {
        flags: namespaces.flags().bits() as u64 | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: no stack is given, so the child continues here on a copy of ours, as with fork; the kernel writes
    // only `pidfd`, which lives on this stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArgs>()) };
    match pid {
        ..0 => Err(std::io::Error::last_os_error()).trying(|| "cannot make a process in new namespaces"),
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: the kernel just gave us this descriptor.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Gives this process new namespaces of its own (unshare(2)).
///
/// # Errors
/// As unshare(2).
pub fn leave_into(namespaces: Namespaces) -> Result<()> {
    unshare(namespaces.flags()).trying(|| "cannot make new namespaces")
}

/// Enters a namespace by its descriptor, if it is of the one kind in `only`.
///
/// # Errors
/// As setns(2); it is of another kind.
pub fn enter_one(namespace: impl AsFd, only: Namespaces) -> Result<()> {
    setns(namespace, only.flags()).trying(|| "cannot enter a namespace")
}

/// Enters namespaces of the process behind `pidfd` in one step (kernel 5.8).
///
/// # Errors
/// As setns(2).
pub fn enter_of_process(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> Result<()> {
    setns(pidfd, namespaces.flags()).trying(|| "cannot enter the box's namespaces")
}

/// Opens the namespace file at `path`, as below `/proc/PID/ns`.
///
/// # Errors
/// The process is gone or another user's.
pub fn open_namespace(path: &str) -> Result<OwnedFd> {
    Ok(File::open(path).trying(|| format!("cannot open {path}"))?.into())
}

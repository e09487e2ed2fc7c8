//! User namespaces: making one for this process, and joining one that exists (user_namespaces(7)).

use super::{capability, facts, pipe};
use crate::model::{Failure, Result, Trying};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::Command;

/// A run of ids: `count` ids from `inside` in the namespace are those from `outside` in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// How the ids of a user namespace are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    pub uids: Vec<IdRange>,
    pub gids: Vec<IdRange>,
    /// Who may write it.
    pub writer: MapWriter,
}

/// Who may write an id map (user_namespaces(7), "Defining user and group ID mappings").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapWriter {
    /// A process with CAP_SETUID and CAP_SETGID in the parent namespace: we are root.
    Privileged,
    /// The set-user-id programs newuidmap(1) and newgidmap(1).
    Tools,
    /// The process itself: one id of each kind, and setgroups(2) is given up.
    Own,
}

/// Moves this process into a new user namespace with `map` and raises all its capabilities there so that programs
/// it executes keep them.
///
/// # Errors
/// The process has a second thread, the kernel forbids user namespaces, or the map is refused.
pub fn enter_new(map: &IdMap) -> Result<()> {
    let (unshared_read, unshared_write) = pipe::new()?;
    let (mut unshared_read, unshared_write) = (File::from(unshared_read), File::from(unshared_write));
    // SAFETY: this process has one thread (unshare below fails otherwise), so the child may do anything.
    match unsafe { fork() }.trying(|| "cannot fork")? {
        ForkResult::Child => {
            drop(unshared_write);
            let mut byte = [0];
            let code = match unshared_read.read(&mut byte) {
                Ok(1) => write_map(nix::unistd::getppid(), map).map_or_else(
                    |failure| {
                        for line in failure.chain() {
                            eprintln!("devenv: {line}");
                        }
                        1
                    },
                    |()| 0,
                ),
                _ => 1,
            };
            // SAFETY: leaves without running destructors or exit handlers that belong to the parent.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            drop(unshared_read);
            let unshared = unshare(CloneFlags::CLONE_NEWUSER);
            if unshared.is_ok() {
                let _ = (&unshared_write).write_all(b"x");
            }
            drop(unshared_write);
            let status = wait(child)?;
            unshared
                .trying(|| "cannot make a user namespace")
                .map_err(|failure| failure.hint("`devenv doctor` tells what forbids it and how to allow it"))?;
            if status != 0 {
                return Err(Failure::new("cannot map user ids into a user namespace")
                    .hint("`devenv doctor` looks at newuidmap, /etc/subuid and /etc/subgid"));
            }
        }
    }
    after_entering()
}

/// Moves this process into the user namespace of process `pid`, with all capabilities there.
///
/// # Errors
/// The process is gone, is another user's, or this process has a second thread.
pub fn join(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/ns/user");
    let namespace = File::open(&path).trying(|| format!("cannot open {path}"))?;
    setns(&namespace, CloneFlags::CLONE_NEWUSER)
        .trying(|| format!("cannot enter the user namespace of process {pid}"))?;
    after_entering()
}

/// Moves this process into the user namespace that `namespace` stands for, with all capabilities there.
///
/// # Errors
/// As setns(2).
pub fn join_open(namespace: impl std::os::fd::AsFd) -> Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWUSER).trying(|| "cannot enter a user namespace")?;
    after_entering()
}

/// Whether this process is in the first user namespace, whose root is the computer's.
pub fn is_first() -> bool {
    // PROC_USER_INIT_INO of linux/proc_ns.h: a map alone tells nothing, since another's may be the whole range too.
    const FIRST: &str = "user:[4026531837]";
    fs::read_link("/proc/self/ns/user").is_ok_and(|target| target.as_os_str() == FIRST)
}

/// Whether process `pid` is in the user namespace of this process.
pub fn is_same_as(pid: u32) -> bool {
    let target = |path: String| fs::read_link(path).ok();
    let own = target("/proc/self/ns/user".into());
    own.is_some() && own == target(format!("/proc/{pid}/ns/user"))
}

fn after_entering() -> Result<()> {
    facts::set_dumpable();
    capability::raise_all()
}

fn write_map(process: Pid, map: &IdMap) -> Result<()> {
    match map.writer {
        MapWriter::Tools => {
            let mut running = Vec::new();
            for (tool, ranges) in [("newuidmap", &map.uids), ("newgidmap", &map.gids)] {
                let numbers = ranges.iter().flat_map(|r| [r.inside, r.outside, r.count]);
                let child = Command::new(tool)
                    .arg(process.to_string())
                    .args(numbers.map(|n| n.to_string()))
                    .spawn()
                    .trying(|| format!("cannot run {tool}"))?;
                running.push((tool, child));
            }
            for (tool, mut child) in running {
                if !child.wait().trying(|| format!("cannot wait for {tool}"))?.success() {
                    return Err(Failure::new(format!("{tool} refused the ids that /etc/subuid and /etc/subgid name")));
                }
            }
            Ok(())
        }
        MapWriter::Privileged | MapWriter::Own => {
            if map.writer == MapWriter::Own {
                write_proc(process, "setgroups", "deny")?;
            }
            write_proc(process, "gid_map", &lines(&map.gids))?;
            write_proc(process, "uid_map", &lines(&map.uids))
        }
    }
}

/// Writes the maps of a child namespace that this process made with `clone`, as one who is privileged in its own.
///
/// # Errors
/// The kernel refuses the map.
pub fn write_child_map(pid: i32, map: &IdMap) -> Result<()> {
    write_map(Pid::from_raw(pid), map)
}

fn write_proc(process: Pid, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{process}/{name}");
    fs::write(&path, text).trying(|| format!("cannot write {path}"))
}

fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect()
}

fn wait(child: Pid) -> Result<i32> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(_) => return Ok(1),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Failure::because("cannot wait for a child process", error)),
        }
    }
}

/// Becomes uid 0 and gid 0 of this user namespace where they are mapped; where they are not, stays who it is.
///
/// # Errors
/// They are mapped and the kernel refuses.
pub fn become_root_if_mapped() -> Result<()> {
    use nix::unistd::{Gid, Uid, setresgid, setresuid};
    let has_zero = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| line.split_whitespace().next() == Some("0"))
    };
    if !has_zero("/proc/self/uid_map") || !has_zero("/proc/self/gid_map") {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).trying(|| "cannot become the box's root group")?;
    setresuid(uid, uid, uid).trying(|| "cannot become the box's root")?;
    facts::set_dumpable();
    Ok(())
}

//! The last steps of a process before it becomes somebody else's program.

use crate::model::{Failure, Kind, Result, Trying};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::CString;

/// Changes to this user for good. Where only one id is mapped, groups cannot be set and are left.
///
/// # Errors
/// The id is not mapped in this user namespace.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    let wanted: Vec<Gid> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    match setgroups(&wanted) {
        // EPERM: setgroups was given up for a namespace with a single id (user_namespaces(7)).
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(Failure::because("cannot set the supplementary groups", error)),
    }
    let gid_mapped = Gid::from_raw(gid);
    setresgid(gid_mapped, gid_mapped, gid_mapped).trying(|| format!("cannot become group {gid}")).map_err(unmapped)?;
    let uid_mapped = Uid::from_raw(uid);
    setresuid(uid_mapped, uid_mapped, uid_mapped).trying(|| format!("cannot become user {uid}")).map_err(unmapped)
}

fn unmapped(failure: Failure) -> Failure {
    failure.hint("the box knows only the ids that /etc/subuid and /etc/subgid give you; `devenv doctor` shows them")
}

/// A program to execute with its words and environment, ready as C strings.
pub struct Program {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    shown: String,
}

impl Program {
    /// Looks `arguments[0]` up in `path` (PATH of the environment) as execvp(3) does.
    ///
    /// # Errors
    /// A word holds a NUL byte or there are none.
    pub fn new(arguments: &[String], environment: &[String], path: &str) -> Result<Program> {
        let shown = arguments.first().cloned().ok_or_else(|| Failure::new("there is no command to run"))?;
        let c = |words: &[String]| -> Result<Vec<CString>> {
            words.iter().map(|w| CString::new(w.as_str()).trying(|| format!("'{w}' holds a NUL byte"))).collect()
        };
        let candidates = if shown.contains('/') {
            vec![shown.clone()]
        } else {
            path.split(':').map(|folder| format!("{}/{shown}", if folder.is_empty() { "." } else { folder })).collect()
        };
        Ok(Program { candidates: c(&candidates)?, arguments: c(arguments)?, environment: c(environment)?, shown })
    }

    /// Becomes the program. Returns only when it cannot.
    pub fn execute(&self) -> Failure {
        let mut denied = None;
        for candidate in &self.candidates {
            let Err(error) = nix::unistd::execve(candidate, &self.arguments, &self.environment);
            match error {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::ENOEXEC => return self.as_script(candidate),
                other => denied = denied.or(Some(other)),
            }
        }
        match denied {
            Some(error) => Failure::because(format!("cannot run '{}'", self.shown), error).kind(Kind::NotExecutable),
            None => {
                Failure::new(format!("there is no command '{}' in the box", self.shown)).kind(Kind::CommandNotFound)
            }
        }
    }

    /// A text file without `#!` is the shell's (execvp(3)).
    fn as_script(&self, candidate: &CString) -> Failure {
        let mut words = vec![c"/bin/sh".to_owned(), candidate.clone()];
        words.extend(self.arguments.iter().skip(1).cloned());
        let Err(error) = nix::unistd::execve(c"/bin/sh", &words, &self.environment);
        Failure::because(format!("cannot run '{}'", self.shown), error).kind(Kind::NotExecutable)
    }
}

/// Sets the working directory.
///
/// # Errors
/// It is missing or may not be entered.
pub fn stand_in(folder: &std::path::Path) -> Result<()> {
    nix::unistd::chdir(folder).trying(|| format!("cannot enter the working directory {} in the box", folder.display()))
}

/// Marks every descriptor from 3 up to be closed at execve(2) (close_range(2), kernel 5.11).
pub fn close_others_at_exec() {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: only flags of descriptors change.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    debug_assert!(result == 0, "close_range is there since 5.9");
}

/// Sets the file mode creation mask to that of a login.
pub fn set_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

/// Sets a resource limit, as far as allowed: raising a hard limit needs CAP_SYS_RESOURCE in the first namespace.
pub fn limit_open_files(soft: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// Sets the host name of this UTS namespace.
///
/// # Errors
/// It is longer than 64 bytes.
pub fn set_host_name(name: &str) -> Result<()> {
    nix::unistd::sethostname(name).trying(|| format!("cannot set the host name {name}"))
}

/// Starts a session of its own without a controlling terminal.
pub fn new_session() {
    let _ = nix::unistd::setsid();
}

/// Makes uid 0 and gid 0 of this user namespace the owner of `path`, where they are mapped.
///
/// # Errors
/// As chown(2).
pub fn give_to_root(path: &std::path::Path) -> std::io::Result<()> {
    match nix::unistd::chown(path, Some(Uid::from_raw(0)), Some(Gid::from_raw(0))) {
        Err(error) if error != Errno::EINVAL => Err(error.into()),
        _ => Ok(()),
    }
}

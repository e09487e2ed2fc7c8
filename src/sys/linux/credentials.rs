//! The last steps of a process before it becomes somebody else's program.

use crate::model::{Failure, Kind, Result, Trying};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

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

    /// Whether there is a file that this process may execute under one of the names.
    pub fn is_there(&self) -> bool {
        use nix::unistd::{AccessFlags, faccessat};
        let at = nix::fcntl::AT_FDCWD;
        self.candidates.iter().any(|candidate| {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(candidate.as_bytes()));
            path.is_file() && faccessat(at, path, AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS).is_ok()
        })
    }

    /// The program's name as it was given.
    pub fn shown(&self) -> &str {
        &self.shown
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
    let trying = || format!("cannot enter the working directory {} in the box", folder.display());
    nix::unistd::chdir(folder).trying(trying)?;
    // A folder that is not below our root has no path: a descriptor of the host's led to it (CVE-2024-21626).
    nix::unistd::getcwd().trying(trying).map(drop)
}

/// Marks every descriptor from `first` up to be closed at execve(2) (close_range(2), kernel 5.11).
pub fn close_others_at_exec(first: u32) {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: only flags of descriptors change.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    debug_assert!(result == 0, "close_range is there since 5.9");
}

/// Sets the file mode creation mask.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// Sets a resource limit, as far as allowed: raising a hard limit needs CAP_SYS_RESOURCE in the first namespace.
pub fn limit_open_files(soft: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}

/// Sets the resource limit called `name` (`RLIMIT_NOFILE`, getrlimit(2)).
///
/// # Errors
/// There is no such limit, or raising its hard value is not allowed.
pub fn limit_resource(name: &str, soft: u64, hard: u64) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let resource = match name {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => return Err(Failure::new(format!("there is no resource limit {name}"))),
    };
    // What holds already needs no permission.
    if getrlimit(resource).is_ok_and(|now| now == (soft, hard)) {
        return Ok(());
    }
    setrlimit(resource, soft, hard).trying(|| format!("cannot set {name} to {soft}, at most {hard}"))
}

/// Makes `uid` the owner of this process's standard streams, as far as they are its to give: a program that is not
/// root can then open /dev/stdout again.
pub fn give_streams_to(uid: u32) {
    for number in 0..3 {
        // SAFETY: the standard streams stay open for all of this call.
        let stream = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let is_null = super::rootdir::is_character_device(stream, 1, 3);
        let is_own = nix::sys::stat::fstat(stream).is_ok_and(|facts| facts.st_uid == uid);
        if !is_null && !is_own {
            let _ = nix::unistd::fchown(stream, Some(Uid::from_raw(uid)), None);
        }
    }
}

/// Gives this process a session keyring of its own, so that the caller's keys are not the program's (keyctl(2)).
/// Kernels without keyrings have none to hide.
pub fn new_session_keyring(name: &str) {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    if let Ok(name) = CString::new(name) {
        // SAFETY: `name` is a C string that outlives the call.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    }
}

/// Sets the NIS domain name of this UTS namespace.
///
/// # Errors
/// It is longer than 64 bytes.
pub fn set_domain_name(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are those of `name`.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    Errno::result(result).map(drop).trying(|| format!("cannot set the domain name {name}"))
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

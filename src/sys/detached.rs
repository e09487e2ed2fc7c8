//! Starting a process that outlives this one and leaves no zombie.

use nix::fcntl::{FcntlArg, fcntl};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The first descriptor behind standard input, output and error.
const FIRST_EXTRA_DESCRIPTOR: i32 = 3;

/// What a detached process starts with.
pub struct Detached<'a> {
    pub program: &'a Path,
    pub arguments: &'a [&'a OsStr],
    pub stdin: File,
    /// Standard output and standard error.
    pub output: File,
    /// Becomes its descriptor 3.
    pub extra: OwnedFd,
    /// It gets our environment; otherwise none.
    pub keeps_environment: bool,
}

/// Starts it in a session of its own, in `/`, as a child of init. Returns once the program runs.
///
/// # Errors
/// The program cannot be executed, or no process can be made.
pub fn spawn(wanted: Detached<'_>) -> io::Result<()> {
    // This takes the number 3 if it is free, so that no descriptor std makes for itself below can have it.
    let extra = fcntl(&wanted.extra, FcntlArg::F_DUPFD_CLOEXEC(FIRST_EXTRA_DESCRIPTOR))?;
    // SAFETY: the kernel just made it for us.
    let _held = unsafe { OwnedFd::from_raw_fd(extra) };
    let mut command = Command::new(wanted.program);
    command.args(wanted.arguments).current_dir("/").stdin(wanted.stdin);
    if !wanted.keeps_environment {
        command.env_clear();
    }
    command.stdout(wanted.output.try_clone()?).stderr(Stdio::from(wanted.output));
    // SAFETY: between fork and exec only setsid, fork, _exit and dup2 are called, all async-signal-safe; the
    // descriptor stays open until `spawn` returns because `_held` lives that long.
    unsafe {
        command.pre_exec(move || {
            check(libc::setsid())?;
            // The parent of what runs in the end ends here, so init adopts it.
            if check(libc::fork())? != 0 {
                libc::_exit(0);
            }
            if extra == FIRST_EXTRA_DESCRIPTOR {
                check(libc::fcntl(extra, libc::F_SETFD, 0))?;
            } else {
                check(libc::dup2(extra, FIRST_EXTRA_DESCRIPTOR))?;
            }
            Ok(())
        });
    }
    // Its pipe for errors of exec is closed by the exec itself, so this waits for it and sees them.
    let status = command.spawn()?.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the process in between failed")) }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

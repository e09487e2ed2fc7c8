//! Starting further copies of this program with descriptors handed over.

use crate::model::{Result, Trying};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs `program` with `arguments`; `descriptors` arrive as 3, 4, 5, … Standard input is empty, the outputs are ours.
///
/// # Errors
/// As execve(2).
pub fn with_descriptors(program: &Path, arguments: &[&str], descriptors: Vec<OwnedFd>) -> Result<Child> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new(program);
    command.args(arguments).arg0("devenv").stdin(Stdio::null());
    // SAFETY: only async-signal-safe calls, on a list made before the fork.
    unsafe {
        command.pre_exec(move || place(&numbers));
    }
    let child = command.spawn().trying(|| format!("cannot run {}", program.display()));
    drop(descriptors);
    child
}

/// Moves descriptors to 3, 4, … in two rounds, as one may stand where another has to go.
fn place(numbers: &[RawFd]) -> std::io::Result<()> {
    const ABOVE_ALL: RawFd = 512;
    let count = numbers.len();
    for (index, number) in numbers.iter().enumerate() {
        // SAFETY: duplicates descriptors of this process, which is about to be replaced.
        let high = unsafe { libc::dup3(*number, ABOVE_ALL + index as RawFd, libc::O_CLOEXEC) };
        if high < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    for index in 0..count as RawFd {
        // SAFETY: as above; dup2 clears close-on-exec.
        if unsafe { libc::dup2(ABOVE_ALL + index, 3 + index) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes descriptor `number`, which the program that started us put there, to be closed at the next execve.
pub fn inherited(number: RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller started with this descriptor open and takes each number once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let _ = nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    descriptor
}

/// Becomes `program` with these words, keeping environment and standard streams. Returns only when it cannot.
pub fn become_program(program: &Path, arguments: &[&str]) -> std::io::Error {
    Command::new(program).args(arguments).arg0("devenv").exec()
}

/// As [`with_descriptors`], and hands each line it writes to `heard`. Gives its exit code.
///
/// # Errors
/// It cannot be executed.
pub fn lines_of(
    program: &Path,
    arguments: &[&str],
    descriptors: Vec<OwnedFd>,
    heard: &mut dyn FnMut(&str),
) -> Result<i32> {
    use std::io::{BufRead, BufReader};
    let (read, write) = super::pipe::new()?;
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let error_write = write.try_clone().trying(|| "no descriptors are left")?;
    let mut command = Command::new(program);
    command.args(arguments).arg0("devenv").stdin(Stdio::null()).stdout(write).stderr(error_write);
    // SAFETY: only async-signal-safe calls, on a list made before the fork.
    unsafe {
        command.pre_exec(move || place(&numbers));
    }
    let mut child = command.spawn().trying(|| format!("cannot run {}", program.display()))?;
    drop((command, descriptors));
    for line in BufReader::new(std::fs::File::from(read)).split(b'\n') {
        heard(String::from_utf8_lossy(&line.trying(|| "cannot read what it writes")?).trim_end());
    }
    let status = child.wait().trying(|| "cannot wait for it")?;
    Ok(status.code().unwrap_or_else(|| 128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)))
}

//! Pipes, memory files and standard streams.

use crate::model::{Failure, Result, Trying};
use crate::sys::pipe_room;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A pipe: reading end, writing end.
///
/// # Errors
/// No descriptors are left.
pub fn new() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).trying(|| "cannot make a pipe")
}

/// Waits until a byte can be read, and leaves it there for others who wait; false when the writing end is closed
/// without one, or `patience` ends before.
///
/// # Errors
/// The descriptor cannot be waited for.
pub fn has_byte_within(reading: impl AsFd, patience: Duration) -> Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut waiting = [PollFd::new(reading.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Failure::because("cannot wait at a pipe", error)),
            Ok(_) => return Ok(waiting[0].revents().is_some_and(|seen| seen.contains(PollFlags::POLLIN))),
        }
    }
}

/// A file in memory that holds `content`, at its beginning (memfd_create(2)).
///
/// # Errors
/// No memory or descriptors are left.
pub fn memory(name: &str, content: &[u8]) -> Result<OwnedFd> {
    let name = CString::new(name).trying(|| "a file name holds a NUL byte")?;
    let mut file =
        File::from(memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC).trying(|| "cannot make a file in memory")?);
    file.write_all(content).and_then(|()| file.rewind()).trying(|| "cannot write a file in memory")?;
    Ok(file.into())
}

/// Standard input from nothing, both outputs to `log`.
///
/// # Errors
/// /dev/null is missing.
pub fn log_streams(log: impl AsFd) -> Result<()> {
    let null =
        open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).trying(|| "cannot open /dev/null")?;
    nix::unistd::dup2_stdin(null)
        .and_then(|()| nix::unistd::dup2_stdout(&log))
        .and_then(|()| nix::unistd::dup2_stderr(&log))
        .trying(|| "cannot set up the output")
}

/// All three standard streams to /dev/null, letting go of the caller's.
///
/// # Errors
/// /dev/null is missing.
pub fn quiet_streams() -> Result<()> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).trying(|| "cannot open /dev/null")?;
    nix::unistd::dup2_stdin(&null)
        .and_then(|()| nix::unistd::dup2_stdout(&null))
        .and_then(|()| nix::unistd::dup2_stderr(&null))
        .trying(|| "cannot let go of the standard streams")
}

/// What this process was given as standard input and output, for its own use: from now on standard input is empty and
/// what is printed goes to standard error, so that nothing else can be said there. Neither end blocks; pipes are made
/// as large as they may be.
///
/// # Errors
/// One of them is closed, or no descriptors are left.
pub fn take_input_and_output() -> Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, fcntl};
    let taken = (|| {
        let (input, output) = (std::io::stdin(), std::io::stdout());
        let (input, output) = (input.as_fd().try_clone_to_owned()?, output.as_fd().try_clone_to_owned()?);
        for end in [&input, &output] {
            let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
            fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            pipe_room::enlarge(end);
        }
        nix::unistd::dup2_stdin(open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)?;
        nix::unistd::dup2_stdout(std::io::stderr().as_fd())?;
        std::io::Result::Ok((input, output))
    })();
    taken.trying(|| "cannot use standard input and output")
}

/// Whether a descriptor is a pipe's end.
pub fn is_pipe(fd: impl AsFd) -> bool {
    use nix::sys::stat::{SFlag, fstat};
    let kind = fstat(fd).map(|facts| SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT);
    kind.is_ok_and(|kind| kind == SFlag::S_IFIFO)
}

/// Closes the file behind `file` now, leaving /dev/null in its place.
pub fn close_file(file: &mut File) {
    if let Ok(null) = File::open("/dev/null") {
        *file = null;
    }
}

/// Lets a descriptor stay open over execve(2).
///
/// # Errors
/// Never for an open descriptor.
pub fn keep_at_exec(file: impl AsFd) -> Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).map(drop).trying(|| "cannot hand over a descriptor")
}

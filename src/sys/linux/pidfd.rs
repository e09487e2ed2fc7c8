//! Another process, held so that its number cannot come to mean a different one (`pidfd_open(2)`).

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A process that may or may not live any more.
pub struct Process(OwnedFd);

impl Process {
    /// The process with the number `pid` now.
    ///
    /// # Errors
    /// There is none.
    pub fn open(pid: u32) -> io::Result<Process> {
        // SAFETY: two numbers go in, a new descriptor comes out.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = Errno::result(descriptor)? as i32;
        // SAFETY: the kernel just made it for us.
        Ok(Process(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Waits until it has ended; `false` when it lives on after `limit`.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// It has ended already, or is not ours to end.
    pub fn kill(&self) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is a process's; a null siginfo asks for the one kill(2) would make.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, none, 0) };
        Errno::result(result)?;
        Ok(())
    }
}

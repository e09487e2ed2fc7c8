//! Moving bytes between sockets without copying them through this program (`splice(2)`).

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What a pipe of ours holds at most: enough that system calls and wake-ups cost little beside the data, and within
/// what an ordinary user may have (`pipe(7)`, pipe-user-pages-soft): a pipe is held only while bytes are in it.
pub const PIPE_BYTES: usize = 256 * 1024;

/// A pipe used as the hand that carries bytes from one socket to another.
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// # Errors
    /// Too many descriptors are open.
    pub fn open() -> io::Result<Pipe> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // Beyond the user's share the kernel refuses, and the pipe stays smaller: slower, not wrong.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        Ok(Pipe { read, write })
    }

    /// Takes what the socket has, up to the pipe's room; 0 at the end of its data.
    ///
    /// # Errors
    /// `WouldBlock` when it has nothing now.
    pub fn fill(&self, from: impl AsFd) -> io::Result<usize> {
        Ok(splice(from, None, &self.write, None, PIPE_BYTES, flags())?)
    }

    /// Gives up to `length` bytes of what the pipe holds to the socket; how many it took.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now.
    pub fn empty(&self, into: impl AsFd, length: usize) -> io::Result<usize> {
        Ok(splice(&self.read, None, into, None, length, flags())?)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

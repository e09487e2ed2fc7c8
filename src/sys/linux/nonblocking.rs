//! Pipes and terminals in the asynchronous world.

use crate::model::{Result, Trying};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, ReadBuf};

/// A descriptor that is waited for and never blocks.
pub struct Nonblocking(AsyncFd<OwnedFd>);

impl Nonblocking {
    /// # Errors
    /// It is a plain file, which cannot be waited for.
    pub fn new(fd: OwnedFd) -> Result<Nonblocking> {
        let set = fcntl(&fd, FcntlArg::F_GETFL).and_then(|flags| {
            let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
            fcntl(&fd, FcntlArg::F_SETFL(flags))
        });
        set.trying(|| "cannot make a descriptor not block")?;
        // SAFETY: an OwnedFd has the same open descriptor until it is dropped, after the registration.
        let registered = unsafe { AsyncFd::register(fd) };
        registered.map(Nonblocking).trying(|| "cannot wait for a descriptor")
    }

    /// Reads what is there, waiting for it; 0 at the end. A terminal that nobody has open any more is at its end.
    ///
    /// # Errors
    /// As read(2).
    pub async fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(read) = ready.try_io(|fd| read(fd.get_ref(), buffer)) {
                return read;
            }
        }
    }

    /// Reads what is there now; `None`: nothing.
    ///
    /// # Errors
    /// As read(2).
    pub fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match read(self.0.get_ref(), buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            read => read.map(Some),
        }
    }

    /// On a socket: the other side reads to the end of what was written, and no further.
    pub fn end_writing(&self) {
        let _ = nix::sys::socket::shutdown(self.0.get_ref().as_raw_fd(), nix::sys::socket::Shutdown::Write);
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As write(2).
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| nix::unistd::write(fd.get_ref(), bytes).map_err(io::Error::from)) {
                Ok(written) => bytes = &bytes[written?..],
                Err(_) => continue,
            }
        }
        Ok(())
    }
}

fn read(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    match nix::unistd::read(fd, buffer) {
        Err(Errno::EIO) => Ok(0),
        read => Ok(read?),
    }
}

impl AsFd for Nonblocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl AsyncRead for Nonblocking {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let buffer = into.initialize_unfilled();
            if let Ok(count) = guard.try_io(|fd| read(fd.get_ref(), buffer)) {
                into.advance(count?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

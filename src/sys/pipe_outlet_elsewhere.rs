//! The writing end of a pipe that frames go into. This system cannot move a socket's content there.

use crate::sys::mux::outlet::Outlet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;

/// A pipe's writing end.
pub struct PipeOutlet(Sender);

impl PipeOutlet {
    /// # Errors
    /// It is no pipe's writing end.
    pub fn new(pipe: OwnedFd) -> io::Result<PipeOutlet> {
        Sender::from_owned_fd(pipe).map(PipeOutlet)
    }
}

impl Outlet for PipeOutlet {
    fn carries(&self) -> bool {
        false
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn carry(&mut self, _: &OwnedFd, _: usize) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Moves bytes of a pipe to a socket: not here.
///
/// # Errors
/// Always.
pub fn move_on(_: impl AsFd, _: impl AsFd, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How many bytes have come on a socket: not asked here.
///
/// # Errors
/// None.
pub fn waiting(_: impl AsFd) -> io::Result<usize> {
    Ok(0)
}

//! Where the frames of a connection go: anything that is written to, or a pipe, which takes the content of a socket
//! without a copy.

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The writing end of a connection.
pub trait Outlet: Send + 'static {
    /// Whether [`Outlet::carry`] is worth its while.
    fn carries(&self) -> bool;

    /// Writes all of it.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes the next `length` bytes of a socket that has as many; false when it had fewer after all, and zeros were
    /// written in their place.
    fn carry(&mut self, socket: &OwnedFd, length: usize) -> impl Future<Output = io::Result<bool>> + Send;

    /// Says that nothing more will come.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// What is written to as it is.
pub struct Plain<W>(pub W);

impl<W: AsyncWrite + Send + Unpin + 'static> Outlet for Plain<W> {
    fn carries(&self) -> bool {
        false
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    async fn carry(&mut self, _: &OwnedFd, _: usize) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

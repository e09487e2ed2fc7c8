//! Where the frames of a connection come from: anything that is read, or a pipe, whose content goes to a socket without a
//! copy.

use std::io;
use std::net::TcpStream;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The reading end of a connection.
pub trait Inlet: Send + Sync + 'static {
    /// Reads some bytes; 0 at the end.
    fn read(&mut self, into: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;

    /// Returns when there is something to read, or the end.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Moves some of the next `length` bytes to `socket`; `None` when there are none yet.
    ///
    /// # Errors
    /// They have to be read: the socket takes nothing now, or this kind of connection moves nothing at all.
    fn move_to(&self, socket: &TcpStream, length: usize) -> io::Result<Option<usize>>;
}

/// What is read as it is.
pub struct Plain<R>(pub R);

impl<R: AsyncRead + Send + Unpin + Sync + 'static> Inlet for Plain<R> {
    async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).await
    }

    async fn readable(&self) -> io::Result<()> {
        Ok(())
    }

    fn move_to(&self, _: &TcpStream, _: usize) -> io::Result<Option<usize>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

//! A two-way stream of bytes whatever carries it: a socket, a channel of an SSH connection, a pair of pipes.

use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that is read and written. `shutdown` of the writing side reaches the other side as the end of its input,
/// while the other direction goes on (half-close).
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream of any kind.
pub type Stream = Box<dyn Duplex>;

//! A two-way stream of bytes whatever carries it: a socket, a channel of an SSH connection, a pair of pipes.

use std::any::Any;
use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that is read and written. `shutdown` of the writing side reaches the other side as the end of its input,
/// while the other direction goes on (half-close).
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + Any {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + Any> Duplex for T {}

/// A stream of any kind.
pub type Stream = Box<dyn Duplex>;

/// `stream` as what it is, where it is a `T` or holds one.
pub fn is<T: Any>(stream: &impl Duplex) -> Option<&T> {
    let stream: &dyn Any = stream;
    let inside = stream.downcast_ref::<Stream>().and_then(|stream| (&**stream as &dyn Any).downcast_ref());
    stream.downcast_ref().or(inside)
}

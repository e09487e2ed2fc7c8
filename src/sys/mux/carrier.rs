//! A stream that takes what comes on a socket without a copy: it promises the bytes in a frame's header, and whoever
//! writes the connection moves them from the socket.

use super::WORTH_BYTES;
use super::state::Shared;
use crate::sys::pipe_outlet::waiting;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Carries one socket's content to one stream.
pub struct Carrier {
    shared: Arc<Shared>,
    stream: u32,
    socket: Arc<OwnedFd>,
}

impl Carrier {
    pub(super) fn new(shared: Arc<Shared>, stream: u32, socket: impl AsFd) -> io::Result<Carrier> {
        Ok(Carrier { shared, stream, socket: Arc::new(socket.as_fd().try_clone_to_owned()?) })
    }

    /// Has the stream take what the socket has; false when that is too little, and to be read as usual. What was promised
    /// before is waited for.
    ///
    /// # Errors
    /// The stream or the connection is over.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.shared.poll_carried(self.stream, context.waker()))?;
        let there = waiting(&*self.socket)?;
        if there < WORTH_BYTES {
            return Poll::Ready(Ok(false));
        }
        match self.shared.promise(self.stream, &self.socket, there, context.waker())? {
            true => Poll::Ready(Ok(true)),
            false => Poll::Pending,
        }
    }
}

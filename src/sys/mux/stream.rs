//! One stream of a connection.

use super::carrier::Carrier;
use super::state::Shared;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes in both directions. Dropping it before both directions have ended resets it.
pub struct MuxStream {
    shared: Arc<Shared>,
    number: u32,
}

impl MuxStream {
    pub(super) fn new(shared: Arc<Shared>, number: u32) -> MuxStream {
        MuxStream { shared, number }
    }

    /// What carries the content of `socket` to this stream without a copy; `None` where that cannot be.
    pub fn carrier(&self, socket: impl AsFd) -> Option<Carrier> {
        let carries = self.shared.carries;
        carries.then(|| Carrier::new(self.shared.clone(), self.number, socket).ok()).flatten()
    }
}

impl MuxStream {
    /// Says that who reads this stream gives all of it to `socket`, and reads again only when it has.
    pub fn gives_to(&self, socket: impl AsFd) {
        if let (Ok(socket), Some(entry)) =
            (socket.as_fd().try_clone_to_owned(), self.shared.lock().streams.get_mut(&self.number))
        {
            entry.sink = Some(socket.into());
        }
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.shared.forget(self.number);
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        let take = |bytes: &[u8]| buffer.put_slice(bytes);
        match self.shared.receive(self.number, room, take, context.waker()) {
            Ok(Some(_)) => Poll::Ready(Ok(())),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.shared.send(self.number, bytes, context.waker()) {
            Ok(Some(length)) => Poll::Ready(Ok(length)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// What is written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.end_sending(self.number);
        Poll::Ready(Ok(()))
    }
}

//! A TCP connection and a stream of any kind joined: what one side says the other hears, until both have ended.

use crate::sys::stream::Duplex;
use nix::sys::socket::{setsockopt, sockopt};
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is moved at once.
const MOVED_BYTES: usize = 64 * 1024;
/// How often something is moved before other work of the same thread has its turn.
const MOVES_A_TURN: usize = 16;

thread_local! {
    /// Holds bytes while they are passed on: one for all connections, so that an idle one costs no memory.
    static PASSING: RefCell<Vec<u8>> = RefCell::new(vec![0; MOVED_BYTES]);
}

/// Joins `socket` and `stream`. A side that ends its sending is passed on as such; an error resets both.
///
/// # Errors
/// One of them broke.
pub async fn join(mut socket: TcpStream, mut stream: impl Duplex) -> io::Result<()> {
    // Small writes are passed on as they come. It can only fail on a connection that is gone.
    let _ = socket.set_nodelay(true);
    let (mut there, mut back) = (Direction::default(), Direction::default());
    let joined = std::future::poll_fn(|context| {
        let there = there.poll(context, &mut socket, &mut stream)?;
        let back = back.poll(context, &mut stream, &mut socket)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
    });
    joined.await.inspect_err(|_| reset_on_close(&socket))
}

/// Has the socket reset its connection when it is closed, so that the other side sees an error rather than an end.
pub fn reset_on_close(socket: impl AsFd) {
    // It can only fail on something that is no socket.
    let _ = setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// One direction of a joined pair.
#[derive(Default)]
struct Direction {
    /// Read and not yet taken by the other side.
    held: Vec<u8>,
    taken: usize,
    read_all: bool,
    done: bool,
}

impl Direction {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        for _ in 0..MOVES_A_TURN {
            if self.done {
                return Poll::Ready(Ok(()));
            }
            if self.taken < self.held.len() {
                let took = ready!(Pin::new(&mut *to).poll_write(context, &self.held[self.taken..]))?;
                self.taken += nonzero(took)?;
                continue;
            }
            if self.held.capacity() > 0 {
                (self.held, self.taken) = (Vec::new(), 0);
            }
            if self.read_all {
                // The other direction notices if the connection is gone.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(context));
                self.done = true;
                continue;
            }
            ready!(self.pass(context, from, to))?;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads, and gives on what the other side takes at once; the rest is held.
    fn pass(
        &mut self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        PASSING.with_borrow_mut(|room| {
            let mut buffer = ReadBuf::new(room);
            ready!(Pin::new(from).poll_read(context, &mut buffer))?;
            let mut rest = buffer.filled();
            self.read_all = rest.is_empty();
            while !rest.is_empty() {
                match Pin::new(&mut *to).poll_write(context, rest) {
                    Poll::Ready(took) => rest = &rest[nonzero(took?)?..],
                    Poll::Pending => {
                        self.held = rest.to_vec();
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

fn nonzero(taken: usize) -> io::Result<usize> {
    if taken == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
}

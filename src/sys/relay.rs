//! A TCP connection and a stream of any kind joined: what one side says the other hears, until both have ended.

use crate::sys::mux::MuxStream;
use crate::sys::mux::carrier::Carrier;
use crate::sys::socket::reset_on_close;
use crate::sys::stream::{Duplex, is};
use std::cell::RefCell;
use std::io;
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

/// Joins `socket` and `stream`. A side that ends its sending is passed on as such. An error resets both, and so does
/// dropping this before the end.
///
/// # Errors
/// One of them broke.
pub async fn join(socket: TcpStream, stream: impl Duplex) -> io::Result<()> {
    // Small writes are passed on as they come. It can only fail on a connection that is gone.
    let _ = socket.set_nodelay(true);
    let of_connection = is::<MuxStream>(&stream);
    let carrier = of_connection.and_then(|stream| stream.carrier(&socket));
    of_connection.iter().for_each(|stream| stream.gives_to(&socket));
    let mut joined = Joined { socket, stream, done: false };
    let (mut there, mut back) = (Direction::default(), Direction::default());
    let both = std::future::poll_fn(|context| {
        let Joined { socket, stream, .. } = &mut joined;
        let there = there.poll(context, socket, stream, carrier.as_ref())?;
        let back = back.poll(context, stream, socket, None)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
    });
    both.await?;
    joined.done = true;
    Ok(())
}

struct Joined<S> {
    socket: TcpStream,
    stream: S,
    done: bool,
}

impl<S> Drop for Joined<S> {
    fn drop(&mut self) {
        if !self.done {
            reset_on_close(&self.socket);
        }
    }
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
        carrier: Option<&Carrier>,
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
            if let Some(carrier) = carrier
                && ready!(carrier.poll(context))?
            {
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

//! Two TCP connections joined: what one side says the other hears, until both have ended.

use crate::sys::linux::socket;
use crate::sys::linux::splice::Pipe;
use crate::sys::socket::reset_on_close;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

/// Empty pipes kept for the next use; more are closed. Bursts of small messages need few at a time.
const PIPES_KEPT: usize = 8;

/// Pipes for all connections. A connection holds one only while bytes are in it, so an idle one costs two
/// descriptors and no buffer.
#[derive(Clone, Default)]
pub struct Pipes(Arc<Mutex<Vec<Pipe>>>);

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(Pipe::open, Ok)
    }

    fn give_back(&self, pipe: Pipe) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < PIPES_KEPT {
            kept.push(pipe);
        }
    }
}

/// Joins `one` and `other`. A side that ends its sending is passed on as such; an error resets both.
pub async fn join(one: TcpStream, other: TcpStream, pipes: &Pipes) {
    // Small writes are passed on as they come. It can only fail on a connection that is gone.
    let _ = (one.set_nodelay(true), other.set_nodelay(true));
    if tokio::try_join!(carry(&one, &other, pipes), carry(&other, &one, pipes)).is_err() {
        reset_on_close(&one);
        reset_on_close(&other);
    }
}

/// Carries what `from` says to `to` until it ends its sending.
async fn carry(from: &TcpStream, to: &TcpStream, pipes: &Pipes) -> io::Result<()> {
    loop {
        from.readable().await?;
        // One busy connection must not keep the others waiting.
        consume_budget().await;
        let pipe = pipes.take()?;
        match from.try_io(Interest::READABLE, || pipe.fill(from)) {
            Ok(0) => {
                pipes.give_back(pipe);
                // The other direction notices if the connection is gone.
                let _ = socket::end_sending(to);
                return Ok(());
            }
            Ok(length) => {
                // On an error the pipe is closed with the bytes that are left in it.
                deliver(&pipe, length, to).await?;
                pipes.give_back(pipe);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipes.give_back(pipe),
            Err(error) => return Err(error),
        }
    }
}

async fn deliver(pipe: &Pipe, mut length: usize, to: &TcpStream) -> io::Result<()> {
    while length > 0 {
        to.writable().await?;
        match to.try_io(Interest::WRITABLE, || pipe.empty(to, length)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => length -= taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

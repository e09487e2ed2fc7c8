//! What every keeper does around its own work: it takes over a socket and a start document, and serves until it is told to
//! quit.

use super::log::log;
use crate::model::{Result, Trying};
use crate::sys::{socket, unix};
use serde::de::DeserializeOwned;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Where whoever starts a keeper leaves its listening socket.
const LISTENER: i32 = 3;
/// Requests that may wait: several `devenv` at once, each with one.
const BACKLOG: i32 = 128;
/// A start document is far below this: about 200 bytes a box.
const LONGEST_START_BYTES: u64 = 16 << 20;
/// Between two tries when no connection can be accepted: too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The keeper's exit code; what went wrong goes to its log.
pub fn exit_code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => {
            log("keeper ends");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            log(&failure.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

/// The socket this process was given.
///
/// # Errors
/// There is none.
pub fn take_listener() -> Result<UnixListener> {
    let listener =
        unix::inherited_listener(LISTENER).trying(|| format!("no listening socket at descriptor {LISTENER}"))?;
    // Listening again tells those who connect this process's number rather than that of who made the socket.
    socket::listen(&listener, BACKLOG).trying(|| "cannot listen at the keeper's socket")?;
    Ok(listener)
}

/// The document on standard input.
///
/// # Errors
/// It cannot be read or understood.
pub fn read_start<T: DeserializeOwned>() -> Result<T> {
    let mut text = String::new();
    let mut input = std::io::stdin().take(LONGEST_START_BYTES);
    input.read_to_string(&mut text).trying(|| "cannot read the start document")?;
    serde_json::from_str(&text).trying(|| "cannot understand the start document")
}

/// Gives each connection to `answer`, beside the others, until `quit` is told or SIGTERM comes.
///
/// # Errors
/// The socket cannot be waited at.
pub async fn serve<A>(listener: UnixListener, quit: &Notify, answer: impl Fn(UnixStream) -> A) -> Result<()>
where
    A: Future<Output = Result<()>> + Send + 'static,
{
    let listening = listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
    let listener = listening.trying(|| "cannot wait at the keeper's socket")?;
    let mut terminated = signal(SignalKind::terminate()).trying(|| "cannot wait for SIGTERM")?;
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            () = quit.notified() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let answered = answer(stream);
                    tokio::spawn(async move {
                        if let Err(failure) = answered.await {
                            log(&failure.chain().join(": "));
                        }
                    });
                }
                Err(error) => {
                    log(&format!("cannot accept at the keeper's socket: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

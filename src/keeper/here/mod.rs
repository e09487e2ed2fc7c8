//! The keeper of a project that runs on this kernel: it holds the project's namespaces and ports. Its memory is what it
//! holds; when nothing happens it sleeps.

mod connection;

use crate::keeper::log::log;
use crate::model::wire::KeeperStart;
use crate::model::{Result, Trying};
use crate::ops::here::supervise::Supervision;
use crate::sys::linux::{facts, unix};
use crate::sys::runtime;
use crate::sys::socket;
use connection::Connection;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Where whoever starts a keeper leaves its listening socket.
const LISTENER: i32 = 3;
/// Requests that may wait: several `devenv` at once, each with one.
const BACKLOG: i32 = 128;
/// A start document is far below this: about 200 bytes a box.
const LONGEST_START_BYTES: u64 = 16 << 20;

/// Runs until asked to quit (`Quit`, SIGTERM).
pub fn main() -> ExitCode {
    facts::set_name(c"devenv-keeper");
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log(&failure.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let listener =
        unix::inherited_listener(LISTENER).trying(|| format!("no listening socket at descriptor {LISTENER}"))?;
    // Listening again tells those who connect this process's number rather than that of who made the socket.
    socket::listen(&listener, BACKLOG).trying(|| "cannot listen at the keeper's socket")?;
    let start = read_start()?;
    log(&format!("keeper of {} begins, process {}, build {}", start.project, std::process::id(), start.build));
    socket::raise_descriptor_limit();
    runtime::current_thread()?.block_on(serve(listener, start))?;
    log("keeper ends");
    Ok(())
}

fn read_start() -> Result<KeeperStart> {
    let mut text = String::new();
    let mut input = std::io::stdin().take(LONGEST_START_BYTES);
    input.read_to_string(&mut text).trying(|| "cannot read the start document")?;
    serde_json::from_str(&text).trying(|| "cannot understand the start document")
}

async fn serve(listener: std::os::unix::net::UnixListener, start: KeeperStart) -> Result<()> {
    let listening = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = listening.trying(|| "cannot wait at the keeper's socket")?;
    let mut terminated = signal(SignalKind::terminate()).trying(|| "cannot wait for SIGTERM")?;
    let (supervision, problems) = Supervision::begin(start).await?;
    problems.iter().for_each(|problem| log(problem));
    let (supervision, quit) = (Arc::new(supervision), Arc::new(Notify::new()));
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            () = quit.notified() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (supervision, quit) = (supervision.clone(), quit.clone());
                    tokio::spawn(async move {
                        if let Err(failure) = Connection::new(stream).serve(&supervision, &quit).await {
                            log(&failure.chain().join(": "));
                        }
                    });
                }
                Err(error) => {
                    log(&format!("cannot accept at the keeper's socket: {error}"));
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

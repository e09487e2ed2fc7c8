//! The keeper of a project that runs elsewhere. A plain process with an ordinary runtime; whoever asks it for a stream is
//! connected to the far side, and it passes bytes on without looking at them.

mod connection;

pub use crate::ops::there::keeper::ENTRY;

use crate::keeper::log::log;
use crate::model::there::ThereStart;
use crate::model::{Result, Trying};
use crate::ops::there::supervise::Supervision;
use crate::sys::runtime;
use crate::sys::unix;
use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Where whoever starts a keeper leaves its listening socket.
const LISTENER: i32 = 3;
/// A start document is far below this.
const LONGEST_START_BYTES: u64 = 1 << 20;

/// Runs until asked to quit (`Quit`, SIGTERM).
pub fn main() -> ExitCode {
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
    let mut text = String::new();
    let mut input = std::io::stdin().take(LONGEST_START_BYTES);
    input.read_to_string(&mut text).trying(|| "cannot read the start document")?;
    let start: ThereStart = serde_json::from_str(&text).trying(|| "cannot understand the start document")?;
    log(&format!("keeper of {} in {} begins, process {}", start.project, start.place, std::process::id()));
    let runtime = runtime::current_thread()?;
    let served = runtime.block_on(serve(listener, start));
    runtime.shutdown_background();
    log("keeper ends");
    served
}

async fn serve(listener: std::os::unix::net::UnixListener, start: ThereStart) -> Result<()> {
    let listening = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = listening.trying(|| "cannot wait at the keeper's socket")?;
    let mut terminated = signal(SignalKind::terminate()).trying(|| "cannot wait for SIGTERM")?;
    let (supervision, quit) = (Supervision::begin(start, log)?, Arc::new(Notify::new()));
    loop {
        tokio::select! {
            _ = terminated.recv() => break,
            () = quit.notified() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (supervision, quit) = (supervision.clone(), quit.clone());
                    tokio::spawn(async move {
                        if let Err(failure) = connection::serve(stream, &supervision, &quit).await {
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
    supervision.end().await;
    Ok(())
}

//! The keeper of a project that runs elsewhere. A plain process with an ordinary runtime; whoever asks it for a stream is
//! connected to the far side, and it passes bytes on without looking at them.

mod connection;

pub use crate::ops::there::keeper::ENTRY;

use crate::keeper::frame;
use crate::keeper::log::log;
use crate::model::Result;
use crate::model::there::ThereStart;
use crate::ops::there::supervise::Supervision;
use crate::sys::fs::hold_record_lock;
use crate::sys::runtime;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Notify;

/// Runs until asked to quit (`Quit`, SIGTERM).
pub fn main() -> ExitCode {
    frame::exit_code(run())
}

fn run() -> Result<()> {
    let listener = frame::take_listener()?;
    let start: ThereStart = frame::read_start()?;
    let _alive = hold_record_lock(&start.alive)?;
    log(&format!("keeper of {} in {} begins, process {}", start.project, start.place, std::process::id()));
    let runtime = runtime::current_thread()?;
    let served = runtime.block_on(serve(listener, start));
    runtime.shutdown_background();
    served
}

async fn serve(listener: UnixListener, start: ThereStart) -> Result<()> {
    let (supervision, quit) = (Supervision::begin(start, log)?, Arc::new(Notify::new()));
    let (answering, told) = (supervision.clone(), quit.clone());
    let served = frame::serve(listener, &quit, move |stream| {
        let (supervision, quit) = (answering.clone(), told.clone());
        async move { connection::serve(stream, &supervision, &quit).await }
    })
    .await;
    supervision.end().await;
    served
}

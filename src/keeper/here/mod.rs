//! The keeper of a project that runs on this kernel: it holds the project's namespaces and ports. Its memory is what it
//! holds; when nothing happens it sleeps.

mod connection;

use crate::keeper::frame;
use crate::keeper::log::log;
use crate::model::Result;
use crate::model::wire::KeeperStart;
use crate::ops::here::supervise::Supervision;
use crate::sys::linux::facts;
use crate::sys::{runtime, socket};
use connection::Connection;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Notify;

/// Runs until asked to quit (`Quit`, SIGTERM).
pub fn main() -> ExitCode {
    facts::set_name(c"devenv-keeper");
    frame::exit_code(run())
}

fn run() -> Result<()> {
    let listener = frame::take_listener()?;
    let start: KeeperStart = frame::read_start()?;
    log(&format!("keeper of {} begins, process {}, build {}", start.project, std::process::id(), start.build));
    socket::raise_descriptor_limit();
    runtime::current_thread()?.block_on(serve(listener, start))
}

async fn serve(listener: UnixListener, start: KeeperStart) -> Result<()> {
    let (supervision, problems) = Supervision::begin(start).await?;
    problems.iter().for_each(|problem| log(problem));
    let (supervision, quit) = (Arc::new(supervision), Arc::new(Notify::new()));
    let told = quit.clone();
    frame::serve(listener, &quit, move |stream| {
        let (supervision, quit) = (supervision.clone(), told.clone());
        async move { Connection::new(stream).serve(&supervision, &quit).await }
    })
    .await
}

//! A caller on this computer whose boxes are elsewhere.

use super::line::Reach;
use crate::model::{Failure, Kind, Place, Result};
use crate::ops::Context;
use crate::ops::place::Origin;
use crate::sys::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Who calls, and where it shall happen.
pub struct Elsewhere<'a> {
    pub context: &'a Context,
    pub place: Place,
    pub origin: Origin,
}

/// Ctrl-C and SIGTERM, for work that has to hear of them.
pub type Interrupt = watch::Receiver<bool>;

impl<'a> Elsewhere<'a> {
    pub fn new(context: &'a Context, place: Place, origin: Origin) -> Elsewhere<'a> {
        Elsewhere { context, place, origin }
    }

    /// How the place is reached for this caller.
    pub fn reach(&self) -> Reach<'_> {
        let Elsewhere { context, place, origin } = self;
        Reach { place, layout: &origin.layout, attended: !context.no_input, starts: true, events: &context.events }
    }

    /// Runs work that waits for the far side, and leaves signals as they are.
    ///
    /// # Errors
    /// As the work.
    pub fn wait_for<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = runtime::current_thread()?;
        let done = runtime.block_on(work);
        // A thread that reads standard input may wait for ever.
        runtime.shutdown_background();
        done
    }

    /// Runs work that waits for the far side. Ctrl-C is told to it; a second one ends this process at once, since the
    /// next command can go on from anywhere.
    ///
    /// # Errors
    /// As the work.
    pub fn run<T>(&self, work: impl AsyncFnOnce(Interrupt) -> Result<T>) -> Result<T> {
        self.wait_for(async {
            let (told, interrupt) = watch::channel(false);
            let hearing = tokio::spawn(hear(told));
            let done = work(interrupt).await;
            hearing.abort();
            done
        })
    }
}

async fn hear(told: watch::Sender<bool>) {
    let (Ok(mut typed), Ok(mut asked)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return;
    };
    loop {
        tokio::select! {
            _ = typed.recv() => {}
            _ = asked.recv() => {}
        }
        if told.send_replace(true) {
            std::process::exit(130);
        }
    }
}

/// Does `work` unless somebody wants us to stop.
///
/// # Errors
/// As the work; or it was interrupted.
pub async fn unless<T>(interrupt: &mut Interrupt, work: impl Future<Output = Result<T>>) -> Result<T> {
    let wanted = async {
        if interrupt.wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending().await
        }
    };
    tokio::select! {
        biased;
        () = wanted => Err(interrupted()),
        done = work => done,
    }
}

/// What Ctrl-C ends in.
pub fn interrupted() -> Failure {
    Failure::new("interrupted").kind(Kind::Interrupted).hint("`devenv up` goes on from here")
}

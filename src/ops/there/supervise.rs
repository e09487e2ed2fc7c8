//! What the keeper of a project elsewhere does: holds the connection, and what depends on it.

use super::line;
use crate::machine::Line;
use crate::model::event::Unheard;
use crate::model::there::{ThereReply, ThereRequest, ThereStart};
use crate::model::{Events, Failure, Kind, Result};
use crate::sys::stream::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// The first wait between two attempts to connect; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long somebody who asks for a stream waits for a connection.
const LINE_PATIENCE: Duration = Duration::from_secs(60);

/// The connection now.
#[derive(Clone)]
enum Link {
    Connecting,
    Up(Arc<dyn Line>),
    Down(Told),
}

/// Why there is none.
#[derive(Clone)]
struct Told {
    causes: Vec<String>,
    hint: Option<String>,
    kind: Kind,
}

/// A project elsewhere, as its keeper sees it.
pub struct Supervision {
    start: ThereStart,
    link: watch::Sender<Link>,
    /// Somebody wants a connection now.
    wanted: Notify,
}

impl Supervision {
    /// Begins to connect.
    pub fn begin(start: ThereStart, log: fn(&str)) -> Arc<Supervision> {
        let link = watch::Sender::new(Link::Connecting);
        let supervision = Arc::new(Supervision { start, link, wanted: Notify::new() });
        tokio::spawn(supervision.clone().hold(log));
        supervision
    }

    /// Keeps a connection: after a loss it tries again, ever more rarely, and at once when somebody asks.
    async fn hold(self: Arc<Supervision>, log: fn(&str)) {
        let events: Arc<dyn Events> = Arc::new(Unheard);
        let mut wait = FIRST_WAIT;
        loop {
            match line::connect(&self.start.place, &events).await {
                Ok(line) => {
                    log("connected");
                    self.link.send_replace(Link::Up(line.clone()));
                    wait = FIRST_WAIT;
                    let why = line.lost().await;
                    log(&format!("the connection was lost: {why}"));
                    self.link.send_replace(Link::Connecting);
                }
                Err(failure) => {
                    log(&failure.chain().join(": "));
                    let (causes, hint) = (failure.chain(), failure.get_hint().map(str::to_owned));
                    self.link.send_replace(Link::Down(Told { causes, hint, kind: failure.get_kind() }));
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = self.wanted.notified() => {}
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                    self.link.send_replace(Link::Connecting);
                }
            }
        }
    }

    /// The connection, waiting for it if need be.
    ///
    /// # Errors
    /// An attempt made after this was asked failed.
    pub async fn line(&self) -> Result<Arc<dyn Line>> {
        let mut link = self.link.subscribe();
        if matches!(*link.borrow(), Link::Down(_)) {
            self.wanted.notify_one();
            let _ = timeout(LINE_PATIENCE, link.wait_for(|link| !matches!(link, Link::Down(_)))).await;
        }
        let settled = timeout(LINE_PATIENCE, link.wait_for(|link| !matches!(link, Link::Connecting))).await;
        match settled.ok().and_then(|waited| waited.ok()).as_deref() {
            Some(Link::Up(line)) => Ok(line.clone()),
            Some(Link::Down(told)) => Err(Failure::told(told.causes.clone(), told.hint.clone(), told.kind)),
            _ => Err(Failure::new(format!("{} cannot be reached", self.start.place))
                .hint("the keeper goes on trying; its log is beside the project's record")),
        }
    }

    /// A new stream to the far side.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn stream(&self) -> Result<Stream> {
        self.line().await?.open().await
    }

    /// Does what is asked. `tell` takes progress.
    pub async fn answer(&self, request: ThereRequest, _tell: &mut (dyn FnMut(ThereReply) + Send)) -> ThereReply {
        match request {
            ThereRequest::Hello => ThereReply::Hello {
                build: self.start.build.clone(),
                pid: std::process::id(),
                ports: Default::default(),
            },
            ThereRequest::Publish { .. } => ThereReply::Published { ports: Default::default(), notes: Vec::new() },
            ThereRequest::Sync { .. } | ThereRequest::Flush => ThereReply::Synced { notes: Vec::new() },
            ThereRequest::Quit => ThereReply::Quitting,
            ThereRequest::Stream => ThereReply::Stream,
        }
    }
}

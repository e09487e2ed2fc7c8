//! What the keeper of a project elsewhere does: holds the connection, and what depends on it.

use super::far::Far;
use super::line::{self, Reach};
use crate::machine::Line;
use crate::model::event::Unheard;
use crate::model::far::Request;
use crate::model::there::{BoxPorts, ThereReply, ThereRequest, ThereStart};
use crate::model::{BoxName, Events, Failure, Kind, PublishedPort, Result};
use crate::ops::computer::host;
use crate::state::Layout;
use crate::sys::stream::Stream;
use crate::tunnel::{self, Publisher};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};
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
    layout: Layout,
    link: watch::Sender<Link>,
    /// Somebody wants a connection now.
    wanted: Notify,
    publisher: Publisher,
    ports: Mutex<BTreeMap<BoxName, Vec<PublishedPort>>>,
}

impl Supervision {
    /// Begins to connect.
    ///
    /// # Errors
    /// No home folder is known.
    pub fn begin(start: ThereStart, log: fn(&str)) -> Result<Arc<Supervision>> {
        let layout = Layout::find(&host())?;
        let link = watch::Sender::new(Link::Connecting);
        let supervision = Arc::new_cyclic(|own: &Weak<Supervision>| {
            let publisher = Publisher::new(opens_connections(own.clone()));
            Supervision { start, layout, link, wanted: Notify::new(), publisher, ports: Mutex::default() }
        });
        tokio::spawn(supervision.clone().hold(log));
        Ok(supervision)
    }

    /// Keeps a connection: after a loss it tries again, ever more rarely, and at once when somebody asks.
    async fn hold(self: Arc<Supervision>, log: fn(&str)) {
        let events: Arc<dyn Events> = Arc::new(Unheard);
        let mut wait = FIRST_WAIT;
        loop {
            let reach = Reach { place: &self.start.place, layout: &self.layout, attended: false, events: &events };
            match line::connect(&reach).await {
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
                ports: self.ports.lock().await.clone(),
            },
            ThereRequest::Publish { boxes } => self.publish(boxes).await.unwrap_or_else(|f| ThereReply::fail(&f)),
            ThereRequest::Sync { .. } | ThereRequest::Flush => ThereReply::Synced { notes: Vec::new() },
            ThereRequest::Quit => ThereReply::Quitting,
            ThereRequest::Stream => ThereReply::Stream,
        }
    }

    async fn publish(&self, boxes: Vec<BoxPorts>) -> Result<ThereReply> {
        let wanted =
            boxes.into_iter().map(|BoxPorts { name, ports, remembered }| tunnel::BoxPorts { name, ports, remembered });
        let tunnel::Published { ports, notes } = self.publisher.set(&wanted.collect::<Vec<_>>()).await?;
        *self.ports.lock().await = ports.clone();
        Ok(ThereReply::Published { ports, notes })
    }

    /// Lets go of all there is on this computer.
    pub async fn end(&self) {
        self.publisher.close().await;
    }
}

/// How the ports of a project connect: by a stream of their own each.
fn opens_connections(supervision: Weak<Supervision>) -> tunnel::Open {
    Arc::new(move |name, protocol, port| {
        let supervision = supervision.upgrade();
        Box::pin(async move {
            let supervision = supervision.ok_or_else(|| Failure::new("the keeper ends"))?;
            let project = supervision.start.project.clone();
            let far = Far::Own(supervision.line().await?);
            far.open(&Request::Connect { project, name, protocol, port }).await
        })
    })
}

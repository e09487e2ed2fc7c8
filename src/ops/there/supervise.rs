//! What the keeper of a project elsewhere does: holds the connection, and what depends on it.

use super::far::{Far, lost};
use super::line::{self, Reach};
use super::trees::{OpenTree, Placed, Sessions, Trees};
use crate::machine::{Line, clock, waking};
use crate::model::event::Unheard;
use crate::model::far::{LONGEST_DOCUMENT_BYTES, Request};
use crate::model::frame::Told;
use crate::model::sync::{SyncAsk, SyncDiff, SyncReply, SyncVersion};
use crate::model::there::{BoxPorts, ThereReply, ThereRequest, ThereStart};
use crate::model::{BoxName, Event, Events, Failure, Mount, Place, PublishedPort, Result};
use crate::ops::computer::host;
use crate::state::Layout;
use crate::sync::version::version;
use crate::sys::framed::read_document;
use crate::sys::stream::Stream;
use crate::tunnel::{self, Publisher};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{sleep, timeout};

/// The first wait between two attempts to connect; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long somebody who asks for a stream waits for a connection.
const LINE_PATIENCE: Duration = Duration::from_secs(60);

/// How long the end of the keeper may wait for the sync to write down what was agreed.
const LAST_SYNC: Duration = Duration::from_secs(3);

/// The connection now.
#[derive(Clone)]
enum Link {
    Connecting,
    Up(Arc<dyn Line>),
    /// Why there is none.
    Down(Told),
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
    trees: Mutex<Trees>,
    /// Who waits for a sync waits alone, and hears what is told; others may ask how it fares.
    turn: Mutex<()>,
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
            let trees = Mutex::new(Trees::new(opens_trees(own.clone()), start.state.clone()));
            Supervision {
                start,
                layout,
                trees,
                link,
                wanted: Notify::new(),
                publisher,
                ports: Mutex::default(),
                turn: Mutex::default(),
            }
        });
        tokio::spawn(supervision.clone().hold(log));
        Ok(supervision)
    }

    /// Keeps a connection: after a loss it tries again, ever more rarely, and at once when somebody asks. Only for
    /// somebody who asks is a VM started that does not run: it may have been stopped on purpose.
    async fn hold(self: Arc<Supervision>, log: fn(&str)) {
        let events: Arc<dyn Events> = Arc::new(Unheard);
        let (mut wait, mut starts) = (FIRST_WAIT, true);
        loop {
            let reach =
                Reach { place: &self.start.place, layout: &self.layout, attended: false, starts, events: &events };
            // Where the system gives no thread the runtime panics: that is no reason never to try again.
            let tried = AssertUnwindSafe(line::connect(&reach)).catch_unwind().await;
            match tried.unwrap_or_else(|_| Err(Failure::new("the attempt to connect broke off"))) {
                Ok(line) => {
                    log("connected");
                    self.link.send_replace(Link::Up(line.clone()));
                    (wait, starts) = (FIRST_WAIT, false);
                    let why = self.keep(&*line, log).await;
                    log(&format!("the connection was lost: {why}"));
                }
                Err(failure) => {
                    log(&failure.chain().join(": "));
                    self.link.send_replace(Link::Down(Told::of(&failure)));
                    starts = tokio::select! {
                        () = sleep(wait) => false,
                        () = self.wanted.notified() => true,
                    };
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
            self.link.send_replace(Link::Connecting);
        }
    }

    /// Keeps the clock of a VM's guest, or looks after a sleep whether the host is still there. Returns when the line is
    /// lost, with why.
    async fn keep(&self, line: &dyn Line, log: fn(&str)) -> String {
        match self.start.place {
            Place::Vm => {
                tokio::select! {
                    why = line.lost() => return why,
                    failure = clock::keep(line) => log(&failure.chain().join(": ")),
                }
                line.lost().await
            }
            Place::Ssh(_) | Place::Here => tokio::select! {
                why = line.lost() => why,
                why = waking::lost_in_sleep(line) => why,
            },
        }
    }

    /// The connection, waiting for it if need be.
    ///
    /// # Errors
    /// An attempt made after this was asked failed.
    pub async fn line(&self) -> Result<Arc<dyn Line>> {
        let mut link = self.link.subscribe();
        let found = timeout(LINE_PATIENCE, async {
            let mut has_asked = false;
            loop {
                let now = link.borrow_and_update().clone();
                match now {
                    Link::Up(line) => return Ok(line),
                    Link::Down(told) if has_asked => return Err(told.into()),
                    Link::Down(_) => {
                        has_asked = true;
                        self.wanted.notify_one();
                    }
                    Link::Connecting => {}
                }
                // The sender lives as long as we do.
                let _ = link.changed().await;
            }
        });
        let gave_up = || Failure::new(format!("{} cannot be reached", self.start.place));
        found.await.unwrap_or_else(|_| Err(gave_up().hint("the keeper goes on trying, and writes why into its log")))
    }

    /// A new stream to the far side.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn stream(&self) -> Result<Stream> {
        self.line().await?.open().await
    }

    /// Does what is asked. `tell` takes progress.
    pub async fn answer(&self, request: ThereRequest, tell: UnboundedSender<Event>) -> ThereReply {
        match request {
            ThereRequest::Hello => ThereReply::Hello {
                build: self.start.build.clone(),
                pid: std::process::id(),
                ports: self.ports.lock().await.clone(),
            },
            ThereRequest::Publish { boxes } => self.publish(boxes).await.unwrap_or_else(|f| ThereReply::fail(&f)),
            ThereRequest::Sync { mounts } => {
                self.sync(Some(mounts), true, tell).await.unwrap_or_else(|f| ThereReply::fail(&f))
            }
            ThereRequest::Flush { unpaused } => {
                self.sync(None, unpaused, tell).await.unwrap_or_else(|f| ThereReply::fail(&f))
            }
            ThereRequest::Trees { wanted } => match self.trees(&wanted).await {
                Ok(reply) => ThereReply::Trees { reply },
                Err(failure) => ThereReply::fail(&failure),
            },
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

    /// Has just these folders be kept equal, or waits until those that are kept so are equal.
    async fn sync(
        &self,
        mounts: Option<Vec<Mount>>,
        unpaused: bool,
        tell: UnboundedSender<Event>,
    ) -> Result<ThereReply> {
        let _turn = self.turn.lock().await;
        // Where there is no way there, that is told rather than waited for.
        if mounts.as_ref().is_none_or(|mounts| !mounts.is_empty()) {
            self.line().await?;
        }
        let told = self.trees.lock().await.told();
        told.listen(Some(tell));
        let done = self.settle(mounts, unpaused).await;
        told.listen(None);
        done?;
        let folders = self.sessions().await.status().await;
        Ok(ThereReply::Synced { notes: self.trees.lock().await.notes(&folders) })
    }

    async fn settle(&self, mounts: Option<Vec<Mount>>, unpaused: bool) -> Result<()> {
        if let Some(mounts) = mounts {
            self.trees.lock().await.set(&mounts).await?;
        }
        self.sessions().await.flush(unpaused).await
    }

    async fn sessions(&self) -> Sessions {
        self.trees.lock().await.sessions()
    }

    /// Does what a person asks of the synced folders.
    async fn trees(&self, ask: &SyncAsk) -> Result<SyncReply> {
        let SyncAsk::Diff { path } = ask else { return self.sessions().await.answer(ask).await };
        let Placed { source, root, path: below } = self.trees.lock().await.place(path)?;
        let here = version(&root, &below)?;
        let ThereStart { project, person, .. } = self.start.clone();
        let look = Request::Look { project, source, path: below, person };
        let mut stream = Far::Own(self.line().await?).open(&look).await?;
        let there = read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.map_err(lost)?;
        if (&here, &there) == (&SyncVersion::Nothing, &SyncVersion::Nothing) {
            return Err(Failure::new(format!("there is no {} on either side", path.display())));
        }
        Ok(SyncReply::Diff(Box::new(SyncDiff { path: path.clone(), here, there })))
    }

    /// Lets go of all there is on this computer.
    pub async fn end(&self) {
        // Somebody may be waiting for a sync that cannot go on.
        let ended = timeout(LAST_SYNC, async { self.trees.lock().await.end().await });
        let _ = ended.await;
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

/// How the sessions of a project reach their other side.
fn opens_trees(supervision: Weak<Supervision>) -> OpenTree {
    Arc::new(move |source| {
        let supervision = supervision.clone();
        Arc::new(move || {
            let (supervision, source) = (supervision.upgrade(), source.clone());
            Box::pin(async move {
                let supervision = supervision.ok_or_else(|| Failure::new("the keeper ends"))?;
                let ThereStart { project, person, .. } = supervision.start.clone();
                let far = Far::Own(supervision.line().await?);
                far.open(&Request::Sync { project, source, person }).await
            })
        })
    })
}

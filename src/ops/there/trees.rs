//! The folders that a keeper keeps equal here and there: one session a mount's source.

use crate::model::sync::{SyncDirection, SyncState};
use crate::model::{Event, Events, Mount, ProjectId, Result, SyncMode, Trying};
use crate::sync::{Opener, Session, SessionStart};
use crate::sys::fs::make_folder;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// Opens a stream on which the far side keeps the tree of a source equal.
pub type OpenTree = Arc<dyn Fn(PathBuf) -> Opener + Send + Sync>;

/// All sessions of a project.
pub struct Trees {
    open: OpenTree,
    /// Each session has a folder of its own in it.
    state: PathBuf,
    sessions: BTreeMap<PathBuf, (Mount, Session)>,
    told: Arc<Told>,
}

/// Whoever waits for a sync hears what it tells; otherwise nobody does.
#[derive(Default)]
pub struct Told(Mutex<Option<UnboundedSender<Event>>>);

impl Told {
    pub fn listen(&self, sender: Option<UnboundedSender<Event>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }
}

impl Events for Told {
    fn send(&self, event: Event) {
        if let Some(sender) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Whoever waited may have gone.
            let _ = sender.send(event);
        }
    }
}

impl Trees {
    pub fn new(open: OpenTree, state: PathBuf) -> Trees {
        Trees { open, state, sessions: BTreeMap::new(), told: Arc::default() }
    }

    /// Who hears what the sessions tell.
    pub fn told(&self) -> Arc<Told> {
        self.told.clone()
    }

    /// Keeps just these equal, and waits until each is for the first time.
    ///
    /// # Errors
    /// A folder cannot be read, or a session waits for consent.
    pub async fn set(&mut self, mounts: &[Mount]) -> Result<()> {
        let wanted: BTreeMap<&PathBuf, &Mount> =
            mounts.iter().filter(|mount| mount.sync != SyncMode::None).map(|mount| (&mount.source, mount)).collect();
        let stays = |source: &PathBuf, mount: &Mount| wanted.get(source).is_some_and(|wanted| same(wanted, mount));
        let gone = self.sessions.iter().filter(|(source, (mount, _))| !stays(source, mount));
        for source in gone.map(|(source, _)| source.clone()).collect::<Vec<_>>() {
            if let Some((_, session)) = self.sessions.remove(&source) {
                session.stop().await;
            }
        }
        for (source, mount) in wanted {
            if !self.sessions.contains_key(source) {
                let session = self.start(mount)?;
                self.sessions.insert(source.clone(), (mount.clone(), session));
            }
        }
        self.flush().await
    }

    fn start(&self, mount: &Mount) -> Result<Session> {
        let source = &mount.source;
        let is_file = source.metadata().trying(|| format!("cannot look at {}", source.display()))?.is_file();
        let state = self.state.join(ProjectId::of_folder(source).as_str());
        make_folder(&state)?;
        let (root, ignore) = match (is_file, source.parent(), source.file_name()) {
            // A file is all there is of its folder.
            (true, Some(folder), Some(name)) => {
                (folder.to_owned(), vec!["*".to_owned(), format!("!/{}", escaped(&name.to_string_lossy()))])
            }
            _ => (source.clone(), mount.ignore.clone()),
        };
        let mode = match mount.sync {
            SyncMode::OneWay => SyncDirection::OneWay,
            SyncMode::TwoWay | SyncMode::None => SyncDirection::TwoWay,
        };
        let events: Arc<dyn Events> = self.told.clone();
        let start = SessionStart { root, state, mode, ignore, events };
        Ok(Session::start(start, (self.open)(source.clone())))
    }

    /// Waits until all that was saved before is on both sides.
    ///
    /// # Errors
    /// A session cannot go on.
    pub async fn flush(&self) -> Result<()> {
        let flushes = self.sessions.iter().map(|(source, (_, session))| async move {
            session.flush().await.trying(|| format!("cannot keep {} equal", source.display()))
        });
        futures_util::future::join_all(flushes).await.into_iter().collect()
    }

    /// What the user should know: conflicts, and what does not go on.
    pub async fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (source, (_, session)) in &self.sessions {
            let status = session.status().await;
            notes.extend(status.notes.iter().cloned());
            if let SyncState::Waiting { reason } | SyncState::Failed { reason } = &status.state {
                notes.push(format!("{}: {reason}", source.display()));
            }
            let first = status.conflicts.first().map(|conflict| conflict.path.as_str()).unwrap_or_default();
            match status.conflict_count {
                0 => {}
                1 => notes.push(format!("{}: {first} changed here and there; both stay as they are", source.display())),
                count => notes.push(format!(
                    "{}: {count} files changed here and there, as {first}; all stay as they are",
                    source.display()
                )),
            }
        }
        notes
    }

    /// Ends all sessions; what was agreed is kept.
    pub async fn end(&mut self) {
        for (_, (_, session)) in std::mem::take(&mut self.sessions) {
            session.stop().await;
        }
    }
}

/// Where it is mounted is no matter of the sync.
fn same(one: &Mount, other: &Mount) -> bool {
    (one.sync, &one.ignore) == (other.sync, &other.ignore)
}

/// A name as a pattern of .gitignore that means itself.
fn escaped(name: &str) -> String {
    let special = |c| matches!(c, '*' | '?' | '[' | '\\' | '!' | ' ');
    name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

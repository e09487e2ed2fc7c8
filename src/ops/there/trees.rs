//! The folders that a keeper keeps equal here and there: one session a mount's source.

use crate::model::sync::{SyncAsk, SyncDirection, SyncReply, SyncState, SyncStatus, SyncedFolder};
use crate::model::{Event, Events, Failure, Kind, Mount, ProjectId, Result, SyncMode, Trying};
use crate::sync::{Opener, Session, SessionStart};
use crate::sys::fs::make_folder;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
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
    /// What sessions noted and somebody was told.
    noted: BTreeSet<(PathBuf, String)>,
}

/// Folders that are kept equal, to be asked while others ask too.
pub struct Sessions(Vec<(PathBuf, Session)>);

/// A path in a synced folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// As the mount has it.
    pub source: PathBuf,
    /// The folder that is kept equal: a file is all there is of its own.
    pub root: PathBuf,
    /// Below the root.
    pub path: PathBuf,
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
        Trees { open, state, sessions: BTreeMap::new(), told: Arc::default(), noted: BTreeSet::new() }
    }

    /// Who hears what the sessions tell.
    pub fn told(&self) -> Arc<Told> {
        self.told.clone()
    }

    /// Has just these be kept equal from now on.
    ///
    /// # Errors
    /// A folder cannot be read.
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
        Ok(())
    }

    /// All sessions there are now.
    pub fn sessions(&self) -> Sessions {
        Sessions(self.sessions.iter().map(|(source, (_, session))| (source.clone(), session.clone())).collect())
    }

    /// In which synced folder an absolute path is; the innermost counts.
    ///
    /// # Errors
    /// In none.
    pub fn place(&self, path: &Path) -> Result<Placed> {
        let source = self.sessions.keys().rfind(|source| path.starts_with(source));
        let nowhere = || Failure::new(format!("{} is in no synced folder", path.display())).kind(Kind::Usage);
        let source = source.ok_or_else(nowhere)?.clone();
        Ok(placed(source.is_file(), source, path))
    }

    /// What the user should know of these: conflicts, and what does not go on. What a session notes or skips is told
    /// once.
    pub fn notes(&mut self, folders: &[SyncedFolder]) -> Vec<String> {
        let mut notes = Vec::new();
        for SyncedFolder { folder, status } in folders {
            let news = status.notes.iter().filter(|note| self.noted.insert((folder.clone(), (*note).clone())));
            notes.extend(news.cloned());
            let skipped = status.skipped.iter().map(|skipped| format!("{}: {}", skipped.path, skipped.reason));
            let news: Vec<_> = skipped.filter(|skipped| self.noted.insert((folder.clone(), skipped.clone()))).collect();
            notes.extend(left_out(folder, &news));
            notes.extend(standing(folder, status));
        }
        notes
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
            SyncMode::Mirror => SyncDirection::Mirror,
            SyncMode::TwoWay | SyncMode::None => SyncDirection::TwoWay,
        };
        let events: Arc<dyn Events> = self.told.clone();
        let start = SessionStart { root, state, mode, ignore, events };
        Ok(Session::start(start, (self.open)(source.clone())))
    }

    /// Ends all sessions; what was agreed is kept.
    pub async fn end(&mut self) {
        for (_, (_, session)) in std::mem::take(&mut self.sessions) {
            session.stop().await;
        }
    }
}

impl Sessions {
    /// Waits until all that was saved before is on both sides; with `unpaused`, where somebody did not say `pause`.
    ///
    /// # Errors
    /// A session cannot go on.
    pub async fn flush(&self, unpaused: bool) -> Result<()> {
        let flushes = self.0.iter().map(|(source, session)| async move {
            if unpaused && session.status().await.state == SyncState::Paused {
                return Ok(());
            }
            session.flush().await.trying(|| format!("cannot keep {} equal", source.display()))
        });
        futures_util::future::join_all(flushes).await.into_iter().collect()
    }

    /// How each fares.
    pub async fn status(&self) -> Vec<SyncedFolder> {
        let all = self.0.iter();
        let all = all.map(|(source, session)| async { (source.clone(), session.status().await) });
        let all = futures_util::future::join_all(all).await.into_iter();
        all.map(|(folder, status)| SyncedFolder { folder, status }).collect()
    }

    /// Does what a person asks of all of them.
    ///
    /// # Errors
    /// A pattern cannot be read, or something cannot be put back.
    pub async fn answer(&self, ask: &SyncAsk) -> Result<SyncReply> {
        let sessions = || self.0.iter().map(|(_, session)| session);
        let mut count = 0;
        match ask {
            SyncAsk::Pause => sessions().for_each(Session::pause),
            SyncAsk::Resume => sessions().for_each(Session::resume),
            SyncAsk::Reset => sessions().for_each(Session::reset),
            SyncAsk::Flush => self.flush(false).await?,
            SyncAsk::Status | SyncAsk::Diff { .. } => return Ok(SyncReply::Status { folders: self.status().await }),
            SyncAsk::Resolve { choice, pattern } => {
                for session in sessions() {
                    count += session.resolve(*choice, pattern).await?;
                }
                return Ok(SyncReply::Count { count });
            }
            SyncAsk::Undo => {
                for session in sessions() {
                    count += session.undo().await?;
                }
                return Ok(SyncReply::Count { count });
            }
        }
        Ok(SyncReply::Done)
    }
}

/// What is not on both sides since the user was last told.
fn left_out(folder: &Path, skipped: &[String]) -> Option<String> {
    let (first, rest) = skipped.split_first()?;
    let more =
        if rest.is_empty() { String::new() } else { format!(" (and {} more: see `devenv sync status`)", rest.len()) };
    Some(format!("{} is not equal in {first}{more}", folder.display()))
}

/// What stays so until somebody does something.
fn standing(folder: &Path, status: &SyncStatus) -> Vec<String> {
    let mut notes = Vec::new();
    match &status.state {
        SyncState::Paused => {
            notes.push(format!("{}: file sync is paused; `devenv sync resume` goes on", folder.display()));
        }
        SyncState::Waiting { reason } | SyncState::Failed { reason } => {
            notes.push(format!("{}: {reason}", folder.display()));
        }
        _ => {}
    }
    let first = status.conflicts.first().map(|conflict| conflict.path.as_str()).unwrap_or_default();
    let what = match status.conflict_count {
        0 => return notes,
        1 => format!("{first} changed on both sides; neither version is touched"),
        count => format!("{count} files changed on both sides, {first} among them; no version is touched"),
    };
    notes.push(format!("{}: {what}: see `devenv sync status`", folder.display()));
    notes
}

/// Where `path` is in the synced `source`.
fn placed(is_file: bool, source: PathBuf, path: &Path) -> Placed {
    let root = match (is_file, source.parent()) {
        (true, Some(folder)) => folder.to_owned(),
        _ => source.clone(),
    };
    let path = path.strip_prefix(&root).unwrap_or(path).to_owned();
    Placed { source, root, path }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> Trees {
        Trees::new(Arc::new(|_| unreachable!("nothing is opened")), PathBuf::new())
    }

    #[test]
    fn what_a_session_noted_is_told_once_and_what_stands_each_time() {
        let mut trees = trees();
        let status = SyncStatus { state: SyncState::Paused, notes: vec!["no room".into()], ..SyncStatus::default() };
        let folders = [SyncedFolder { folder: "/src".into(), status }];
        let paused = "/src: file sync is paused; `devenv sync resume` goes on";
        assert_eq!(trees.notes(&folders), ["no room", paused]);
        assert_eq!(trees.notes(&folders), [paused]);
    }

    #[test]
    fn a_path_is_found_in_a_folder_or_as_a_file() {
        let found = placed(false, "/src".into(), Path::new("/src/a/b"));
        assert_eq!(found, Placed { source: "/src".into(), root: "/src".into(), path: "a/b".into() });
        let found = placed(true, "/etc/it.conf".into(), Path::new("/etc/it.conf"));
        assert_eq!(found, Placed { source: "/etc/it.conf".into(), root: "/etc".into(), path: "it.conf".into() });
        assert!(trees().place(Path::new("/src")).is_err());
    }
}

//! A synced folder, as whoever owns it sees it.

use super::controller::{Command, Controller};
use crate::model::sync::{SyncChoice, SyncDirection, SyncStatus};
use crate::model::{Events, Failure, Result};
use crate::sys::stream::Stream;
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Opens a new stream to the far side, which calls `sync::serve` on it.
pub type Opener = Arc<dyn Fn() -> BoxFuture<'static, Result<Stream>> + Send + Sync>;

/// What a session is about.
pub struct SessionStart {
    /// The folder on this side.
    pub root: PathBuf,
    /// A folder of this session alone, kept between runs: what was agreed, files on their way, the trash. Best on the
    /// file system of the root.
    pub state: PathBuf,
    pub mode: SyncDirection,
    /// Patterns in .gitignore syntax, after the defaults.
    pub ignore: Vec<String>,
    /// Hears of the first copy.
    pub events: Arc<dyn Events>,
}

/// A running session. It ends when it is stopped, or the last clone of this is dropped.
#[derive(Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<Command>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Session {
    /// Starts to keep the two trees equal: a first round, then whatever changes on either side. Connects through `open`
    /// and does so again after a cut. Call it in a runtime of tokio.
    pub fn start(start: SessionStart, open: Opener) -> Session {
        let (commands, commanded) = mpsc::unbounded_channel();
        let task = tokio::spawn(Controller::run(start, open, commanded));
        Session { commands, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Waits until all that was saved on either side before this call is on the other.
    ///
    /// # Errors
    /// The session is paused, waits for `resume`, or has failed.
    pub async fn flush(&self) -> Result<()> {
        self.ask(Command::Flush).await?
    }

    /// How far it is.
    pub async fn status(&self) -> SyncStatus {
        self.ask(Command::Status).await.unwrap_or_default()
    }

    /// Does nothing more until `resume`.
    pub fn pause(&self) {
        let _ = self.commands.send(Command::Pause);
    }

    /// Goes on, also with what was held back because it looked like an accident.
    pub fn resume(&self) {
        let _ = self.commands.send(Command::Resume);
    }

    /// Forgets what both sides agreed on: the next round compares the trees anew, deletes nothing, and where the sides
    /// differ there is a conflict.
    pub fn reset(&self) {
        let _ = self.commands.send(Command::Reset);
    }

    /// Ends the conflicts whose paths match `pattern` (.gitignore syntax). Returns how many.
    ///
    /// # Errors
    /// The pattern cannot be read.
    pub async fn resolve(&self, choice: SyncChoice, pattern: &str) -> Result<u64> {
        let pattern = pattern.to_owned();
        self.ask(|reply| Command::Resolve { choice, pattern, reply }).await?
    }

    /// Puts back what the last batch of changes replaced or deleted on this side. Returns how many files.
    ///
    /// # Errors
    /// Something cannot be put back.
    pub async fn undo(&self) -> Result<u64> {
        self.ask(Command::Undo).await?
    }

    /// Ends it; what was agreed is saved.
    pub async fn stop(self) {
        let Session { commands, task } = self;
        let _ = commands.send(Command::Stop);
        drop(commands);
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(command(reply));
        answer.await.map_err(|_| Failure::new("file sync of this folder has ended"))
    }
}

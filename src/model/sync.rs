//! File sync as it is told: what state a synced folder is in and what it could not do.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which way changes go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncDirection {
    /// Both ways; where both sides changed, neither is touched.
    #[default]
    TwoWay,
    /// From this side only: this side wins, what only the other side has stays there.
    OneWay,
    /// From this side only, and what only the other side has goes to its trash.
    Mirror,
}

/// How far a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SyncState {
    /// No connection to the other side yet, or none any more; it is tried again.
    #[default]
    Connecting,
    /// The trees are being read.
    Scanning,
    /// Changes are on their way.
    Syncing,
    /// Both sides are equal, apart from conflicts and what is skipped.
    Watching,
    /// Somebody said `pause`.
    Paused,
    /// Something looks like an accident: nothing is done until somebody says `resume`.
    Waiting { reason: String },
    /// It cannot go on.
    Failed { reason: String },
}

/// Everything that `sync status` shows of one folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncStatus {
    #[serde(flatten)]
    pub state: SyncState,
    /// Changes that are known and not yet on the other side.
    pub backlog: u64,
    /// Bytes of them that still have to travel.
    pub backlog_bytes: u64,
    /// From the last change seen to its being visible on the other side.
    pub last_latency_ms: Option<u64>,
    /// Files and folders in the common tree.
    pub entries: u64,
    pub conflicts: Vec<SyncConflict>,
    /// How many there are; `skipped` and `conflicts` are cut at [`MOST_LISTED`].
    pub conflict_count: u64,
    pub skipped: Vec<SyncSkipped>,
    pub skipped_count: u64,
    /// What a person should know: a watch limit, a file system that cannot swap.
    pub notes: Vec<String>,
}

/// Longer lists are cut; the counts beside them are not.
pub const MOST_LISTED: usize = 200;

/// A path that both sides changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncConflict {
    pub path: String,
    /// What this side has: "file, 120 bytes", "folder", "nothing".
    pub here: String,
    pub there: String,
}

/// A path that stays apart, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSkipped {
    pub path: String,
    pub reason: String,
}

/// Whose version a conflict ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncChoice {
    /// This side's.
    Ours,
    /// The other side's.
    Theirs,
    /// Both: the other side's beside ours under a second name.
    Both,
}

/// What a person asks of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum SyncAsk {
    Status,
    Flush,
    Pause,
    Resume,
    /// Forget what both sides agreed on: the next round compares the trees anew and deletes nothing.
    Reset,
    Resolve {
        choice: SyncChoice,
        /// In .gitignore syntax.
        pattern: String,
    },
    /// Bring back what the last batch of changes from the other side replaced or deleted on this side.
    Undo,
    /// What both sides have at an absolute path of this computer.
    Diff {
        path: PathBuf,
    },
}

/// What became of a [`SyncAsk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum SyncReply {
    Status {
        folders: Vec<SyncedFolder>,
    },
    Done,
    /// So many conflicts were ended, or files came back.
    Count {
        count: u64,
    },
    Diff(Box<SyncDiff>),
}

/// A synced folder, and how it fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncedFolder {
    /// On this computer.
    pub folder: PathBuf,
    #[serde(flatten)]
    pub status: SyncStatus,
}

/// A path as each side has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDiff {
    pub path: PathBuf,
    pub here: SyncVersion,
    pub there: SyncVersion,
}

/// What one side has at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SyncVersion {
    Nothing,
    Folder,
    Link {
        target: String,
    },
    /// A socket, device or pipe.
    Special,
    File {
        size_bytes: u64,
        /// Since 1970, by the clock of its side.
        modified_s: u64,
        executable: bool,
        /// Of text up to [`LONGEST_TEXT_BYTES`].
        text: Option<String>,
    },
}

/// Longer files are compared by size and time only.
pub const LONGEST_TEXT_BYTES: u64 = 256 << 10;

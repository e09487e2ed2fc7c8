//! What runs: the replies of `status`, `ports`, `list` and `image list`. Field names are promised to scripts (`--json`).

use super::{BoxWanted, PublishedPort};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Reply of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub project: String,
    pub path: PathBuf,
    pub place: String,
    pub boxes: Vec<BoxStatus>,
}

/// One box in `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxStatus {
    pub name: String,
    pub image: String,
    /// Manifest digest of the image; `None` for `host` and before the first pull.
    pub digest: Option<String>,
    pub state: BoxState,
    /// Process id of the box's first process as the host sees it.
    pub pid: Option<u32>,
    pub ip: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    pub exit_code: Option<i32>,
    /// Always `None` until boxes have health checks.
    pub health: Option<String>,
    pub ports: Vec<PublishedPort>,
    /// What of the safe defaults the file loosens ("privileged", "CAP_NET_ADMIN", …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loosened: Vec<String>,
}

impl BoxStatus {
    /// A box that the file wants and that was never made.
    pub fn of_absent(wanted: &BoxWanted) -> BoxStatus {
        let loosened = wanted.security.words();
        BoxStatus { loosened, ..BoxStatus::absent(wanted.name.to_string(), wanted.image.to_string()) }
    }

    /// A box that was never made.
    pub fn absent(name: impl Into<String>, image: impl Into<String>) -> BoxStatus {
        BoxStatus {
            name: name.into(),
            image: image.into(),
            digest: None,
            state: BoxState::Absent,
            pid: None,
            ip: None,
            started_at: None,
            exit_code: None,
            health: None,
            ports: Vec::new(),
            loosened: Vec::new(),
        }
    }
}

/// State of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxState {
    /// Never made, or taken down.
    Absent,
    /// Made and not running: stopped on request.
    Stopped,
    /// Its command ended by itself; `exit_code` says how.
    Exited,
    Running,
}

impl std::fmt::Display for BoxState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            BoxState::Absent => "absent",
            BoxState::Stopped => "stopped",
            BoxState::Exited => "exited",
            BoxState::Running => "running",
        })
    }
}

/// One project in `list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectListed {
    pub project: String,
    pub path: PathBuf,
    pub place: String,
    pub running: usize,
    pub boxes: usize,
}

/// Boxes of one project that run now, whoever's they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectRunning {
    pub project: String,
    /// Folder of the project, on the computer of whoever started it.
    pub path: PathBuf,
    /// Names of the boxes, never none.
    pub boxes: Vec<String>,
}

/// One image in `image list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageListed {
    pub reference: String,
    pub digest: String,
    /// Size on disk of all layers, in bytes; layers shared with other images count in each.
    pub size_bytes: u64,
    /// RFC 3339, as the image says; `None` when it does not.
    pub created: Option<String>,
}

/// One finding of `doctor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub level: Level,
    /// What was looked at ("user namespaces").
    pub topic: String,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when all is well.
    pub fix: Option<String>,
}

/// Weight of a finding: `Bad` means that `up` would fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    Limited,
    Bad,
}

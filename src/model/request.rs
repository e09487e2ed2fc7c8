//! What doors ask of the verbs: one plain struct a verb.

use super::BoxName;
use super::status::Status;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `devenv up`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpRequest {
    /// Just these boxes and what they depend on; empty: all.
    pub only: Vec<BoxName>,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
}

/// What `up` did, or with `dry_run` would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpReply {
    pub status: Status,
    /// The plan, a line a step, in order.
    pub steps: Vec<String>,
}

/// `devenv exec` and `devenv shell`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EnterRequest {
    /// `None`: `dev`.
    pub name: Option<BoxName>,
    /// Empty: the box's interactive shell.
    pub command: Vec<String>,
    /// `None`: a terminal if standard input and output are terminals.
    pub terminal: Option<bool>,
    pub user: Option<String>,
    /// `None`: where the caller stands in a mounted folder, else the box's.
    pub workdir: Option<PathBuf>,
    pub env: Vec<(String, String)>,
}

/// `devenv logs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// `None`: every box, each line behind its box's name.
    pub name: Option<BoxName>,
    pub follow: bool,
    /// Lines from the end; `None`: all.
    pub tail: Option<u64>,
}

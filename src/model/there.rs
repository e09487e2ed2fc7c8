//! What is said between `devenv` and the keeper of a project that runs elsewhere, over the keeper's unix socket:
//! documents each way (four bytes of length, big-endian, and as many of JSON).

use super::call::Person;
use super::frame::Told;
use super::sync::{SyncAsk, SyncReply};
use super::{BoxName, Event, Failure, Mount, Place, PortRequest, ProjectId, PublishedPort};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a keeper is started: one JSON document on its standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThereStart {
    pub place: Place,
    /// The project's identity over there.
    pub project: ProjectId,
    /// Folder of its `devenv.toml` on this computer.
    pub folder: PathBuf,
    /// Whose the files over there are; `None`: the account's.
    pub person: Option<Person>,
    /// Where the keeper keeps what it has to remember.
    pub state: PathBuf,
    /// The file it has locked for as long as it lives.
    pub alive: PathBuf,
    pub build: String,
}

/// Asked of a keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum ThereRequest {
    /// Who are you?
    Hello,
    /// A new stream to the far side: what follows the answer goes there, byte for byte, both ways.
    Stream,
    /// Publish these ports on this computer, and no others. Those that are there stay untouched.
    Publish { boxes: Vec<BoxPorts> },
    /// Keep these folders equal, and no others. Answered when each has been made equal once.
    Sync { mounts: Vec<Mount> },
    /// Wait until all that was saved on either side before is on both; with `unpaused`, where somebody did not say `pause`.
    Flush { unpaused: bool },
    /// What a person asks of all that is kept equal.
    Trees { wanted: SyncAsk },
    /// Close all ports and end.
    Quit,
}

/// The ports of one box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxPorts {
    pub name: BoxName,
    pub ports: Vec<PortRequest>,
    /// What it was given before: preferred where the request leaves a choice.
    pub remembered: Vec<PublishedPort>,
}

/// Answered by a keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum ThereReply {
    Hello {
        build: String,
        pid: u32,
        /// What is published now.
        ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    },
    /// From now on the connection is the stream.
    Stream,
    Published {
        ports: BTreeMap<BoxName, Vec<PublishedPort>>,
        /// What the user should know ("port 8000 is taken; using 8001").
        notes: Vec<String>,
    },
    /// What there is to tell meanwhile; another reply follows.
    Tell {
        event: Event,
    },
    Synced {
        /// What the user should know: conflicts, files that were left out.
        notes: Vec<String>,
    },
    Trees {
        reply: SyncReply,
    },
    Quitting,
    /// It could not be done.
    Failed(Told),
}

impl ThereReply {
    /// `failure` as a reply.
    pub fn fail(failure: &Failure) -> ThereReply {
        ThereReply::Failed(Told::of(failure))
    }
}

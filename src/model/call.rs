//! Verbs that a far side carries out for a `devenv` elsewhere: what is asked, by whom, and with what.

use super::request::{EnterRequest, LogsRequest, UpRequest};
use super::{BoxName, ImageSource, Project, ProjectId, Settings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One verb.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub caller: Caller,
    pub verb: Verb,
}

/// The verbs, each as `ops` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    Up(UpRequest),
    Status,
    Logs(LogsRequest),
    Stop {
        only: Option<BoxName>,
    },
    Down {
        volumes: bool,
    },
    ImageList,
    ImagePull {
        reference: String,
    },
    /// An image in files of the caller's computer, which is asked for them.
    ImageImport {
        source: ImageSource,
        name: Option<String>,
    },
    ImageRemove {
        names: Vec<String>,
    },
    ImagePrune,
    Doctor,
    /// Everything that runs there.
    Running,
}

/// Who calls from elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// Where the caller stands, on the caller's computer.
    pub folder: PathBuf,
    /// `None`: the verb needs none.
    pub project: Option<ProjectCalled>,
    /// Whose boxes these are where the program itself is root for everybody: in the VM. `None`: its own account's.
    pub person: Option<Person>,
    pub settings: Settings,
    /// What stands in files that only the caller's computer has.
    pub certificates: Certificates,
}

/// A project of another computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectCalled {
    /// Its identity over there.
    pub id: ProjectId,
    /// Its folder on the caller's computer.
    pub folder: PathBuf,
    /// As its files want it; `None`: they are wrong, or the verb needs them not.
    pub wanted: Option<Project>,
    /// The mounts' sources that are files there: they lie in a tree of their own.
    pub files: Vec<PathBuf>,
}

/// An account of the caller's computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Certificate authorities, as PEM text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// To trust besides the system's.
    pub all: Vec<String>,
    /// By registry.
    pub registries: BTreeMap<String, String>,
}

/// A program to run in a box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnterCall {
    pub caller: Caller,
    pub request: EnterRequest,
    /// The size of the caller's terminal; `None`: the program gets pipes.
    pub terminal: Option<Size>,
    /// What the program needs to know of the caller's terminal: TERM and such.
    pub environment: Vec<(String, String)>,
}

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

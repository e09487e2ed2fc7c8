//! What is kept of a container, and what it is told to be (OCI runtime-spec, "State").

use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::fs::write_atomically;
use crate::sys::linux::pidfd::{Identity, Process};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The version of the specification that is carried out.
pub const VERSION: &str = "1.2.0";

/// Which container it is, as hooks are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub id: String,
    /// Absolute path of the folder with config.json.
    pub bundle: PathBuf,
}

/// The states of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Creating,
    Created,
    Running,
    Stopped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Stopped => "stopped",
        }
    }
}

/// The state as hooks get it on their standard input.
pub fn document(spec: &Spec, place: &Place, status: Status, pid: u32) -> Value {
    let mut state = json!({
        "ociVersion": VERSION,
        "id": place.id,
        "status": status.name(),
        "bundle": place.bundle,
        "annotations": spec.annotations().clone().unwrap_or_default(),
    });
    if status != Status::Stopped {
        state["pid"] = pid.into();
    }
    state
}

/// A container on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    pub place: Place,
    /// When it was created (RFC 3339).
    pub created: String,
    pub init: Identity,
    /// It is made to the end; before that it is there for hooks that ask, and to be removed when its maker was killed.
    pub complete: bool,
    /// Its control groups.
    pub cgroups: Vec<PathBuf>,
    pub spec: Spec,
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Container {
    /// Reads the container `id` below `root`.
    ///
    /// # Errors
    /// There is none, or its record is damaged.
    pub fn read(root: &Path, id: &str) -> Result<Container> {
        let folder = folder(root, id)?;
        let path = folder.join(RECORD);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // The words that callers look for.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure::new("container does not exist").kind(Kind::NotFound));
            }
            Err(error) => return Err(Failure::because(format!("cannot read {}", path.display()), error)),
        };
        let read: Container = serde_json::from_slice(&text).trying(|| format!("cannot read {}", path.display()))?;
        Ok(Container { folder, ..read })
    }

    /// Writes the record.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_vec(self).trying(|| "cannot describe the container")?;
        write_atomically(&self.folder.join(RECORD), &text)
    }

    pub fn start_socket(&self) -> PathBuf {
        self.folder.join(START_SOCKET)
    }

    /// What it is now, and its first process while that lives.
    pub fn look(&self) -> (Status, Option<Process>) {
        match self.init.open() {
            None => (Status::Stopped, None),
            Some(process) if !self.complete => (Status::Creating, Some(process)),
            Some(process) if self.start_socket().exists() => (Status::Created, Some(process)),
            Some(process) => (Status::Running, Some(process)),
        }
    }

    /// What `state` prints.
    pub fn to_json(&self) -> Value {
        let (status, process) = self.look();
        let mut state = document(&self.spec, &self.place, status, 0);
        state["pid"] = process.map_or(0, |process| process.pid()).into();
        state["rootfs"] = json!(self.spec.root().as_ref().map(|root| root.path()));
        state["created"] = self.created.clone().into();
        state["owner"] = "".into();
        state
    }
}

const RECORD: &str = "state.json";
/// Name of the socket in a container's folder.
pub const START_SOCKET: &str = "start.sock";

/// The folder of container `id`.
///
/// # Errors
/// `id` is no name for a container.
pub fn folder(root: &Path, id: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if id.is_empty() || id.len() > 1024 || id == "." || id == ".." || !id.chars().all(plain) {
        return Err(Failure::new(format!("invalid container id '{id}'"))
            .kind(Kind::Usage)
            .hint("letters, digits and _+-. are allowed"));
    }
    Ok(root.join(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_lead_out_of_the_root() {
        for wrong in ["", ".", "..", "a/b", "../x", "a b"] {
            assert!(folder(Path::new("/r"), wrong).is_err(), "{wrong}");
        }
        assert_eq!(folder(Path::new("/r"), "a.b_c+1").unwrap(), Path::new("/r/a.b_c+1"));
    }
}

//! Records of what was made: one JSON file each, versioned, replaced in one step.

use super::layout::{BoxPaths, ProjectPaths};
use crate::model::process::Identity;
use crate::model::{BoxName, BoxWanted, Failure, NetworkWanted, ProjectId, PublishedPort, Result, Trying};
use crate::sys::fs::{read_if_exists, write_atomically};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Version of both records; a newer one is refused, an older one is none.
const VERSION: u32 = 1;

/// What was made of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectRecord {
    version: u32,
    pub id: ProjectId,
    pub name: String,
    /// Folder of its `devenv.toml`.
    pub folder: PathBuf,
    pub subnet: Ipv4Addr,
    pub prefix: u8,
    pub network: NetworkWanted,
    /// Ports of this computer's loopback that boxes reach: those of the user's proxies.
    #[serde(default)]
    pub loopback_ports: Vec<u16>,
    /// The address each box got first.
    pub addresses: BTreeMap<BoxName, Ipv4Addr>,
    /// Ports as published last.
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    /// The keeper, while it is thought to live.
    pub keeper: Option<Identity>,
}

impl ProjectRecord {
    pub fn new(id: ProjectId, name: String, folder: PathBuf, subnet: Ipv4Addr, prefix: u8) -> ProjectRecord {
        ProjectRecord {
            version: VERSION,
            id,
            name,
            folder,
            subnet,
            prefix,
            network: NetworkWanted::default(),
            loopback_ports: Vec::new(),
            addresses: BTreeMap::new(),
            ports: BTreeMap::new(),
            keeper: None,
        }
    }

    /// The record of a project; `None` when there is none or it was cut short.
    ///
    /// # Errors
    /// It cannot be read, or a newer devenv wrote it.
    pub fn read(paths: &ProjectPaths) -> Result<Option<ProjectRecord>> {
        read(&paths.record())
    }

    /// # Errors
    /// The disk is full or not writable; the old record is then untouched.
    pub fn write(&self, paths: &ProjectPaths) -> Result<()> {
        write(&paths.record(), self)
    }
}

/// What was made of a box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxRecord {
    version: u32,
    /// The box as the file wanted it when it was made or last started.
    pub wanted: BoxWanted,
    /// Manifest digest; `None` for `host`.
    pub digest: Option<String>,
    /// Layer folders under the box's own, bottom first, by name in the store.
    pub layers: Vec<PathBuf>,
    /// The hook `created` ran to its end.
    pub created: bool,
    /// Somebody asked it to stop.
    pub stopped: bool,
    pub life: Option<Life>,
}

/// One run of a box, from start to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The box's first process.
    pub init: Identity,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub ip: Ipv4Addr,
    pub cgroups: Vec<PathBuf>,
    /// How programs enter the box: an engine document, opaque here.
    pub entry: serde_json::Value,
    /// Signal that ends it (name or number).
    pub stop_signal: Option<String>,
}

impl BoxRecord {
    pub fn new(wanted: BoxWanted, digest: Option<String>, layers: Vec<PathBuf>) -> BoxRecord {
        BoxRecord { version: VERSION, wanted, digest, layers, created: false, stopped: false, life: None }
    }

    /// As [`ProjectRecord::read`].
    ///
    /// # Errors
    /// As [`ProjectRecord::read`].
    pub fn read(paths: &BoxPaths) -> Result<Option<BoxRecord>> {
        read(&paths.record())
    }

    /// As [`ProjectRecord::write`].
    ///
    /// # Errors
    /// As [`ProjectRecord::write`].
    pub fn write(&self, paths: &BoxPaths) -> Result<()> {
        write(&paths.record(), self)
    }
}

/// Names of the boxes of which anything is left, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn box_names(paths: &ProjectPaths) -> Result<Vec<BoxName>> {
    let folder = paths.boxes();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::because(format!("cannot read {}", folder.display()), error)),
    };
    let mut names: Vec<BoxName> =
        entries.flatten().filter_map(|entry| BoxName::new(entry.file_name().into_string().ok()?).ok()).collect();
    names.sort();
    Ok(names)
}

/// Every project of which anything is left.
///
/// # Errors
/// The folder cannot be read.
pub fn project_ids(projects: &Path) -> Result<Vec<ProjectId>> {
    let entries = match std::fs::read_dir(projects) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::because(format!("cannot read {}", projects.display()), error)),
    };
    let mut ids: Vec<ProjectId> =
        entries.flatten().filter_map(|entry| ProjectId::new(entry.file_name().into_string().ok()?).ok()).collect();
    ids.sort();
    Ok(ids)
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read_if_exists(path)? else { return Ok(None) };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
        // Only a power loss can leave half a file: then what it told is gone with the boot it told of.
        return Ok(None);
    };
    match value["version"].as_u64() {
        Some(version) if version > u64::from(VERSION) => {
            Err(Failure::new(format!("{} was written by a newer devenv", path.display())).hint("update devenv"))
        }
        _ => Ok(serde_json::from_value(value).ok()),
    }
}

pub(super) fn write<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(record).trying(|| format!("cannot write {}", path.display()))?;
    text.push(b'\n');
    write_atomically(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cut_anywhere_is_no_record_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("project.json");
        let id = ProjectId::of_folder(Path::new("/a/b"));
        let record = ProjectRecord::new(id, "b".into(), "/a/b".into(), Ipv4Addr::new(10, 1, 2, 0), 22);
        write(&path, &record).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read::<ProjectRecord>(&path).unwrap(), Some(record));
        for length in 0..whole.len() - 2 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read::<ProjectRecord>(&path).unwrap(), None, "{length}");
        }
        std::fs::write(&path, r#"{"version": 2}"#).unwrap();
        assert!(read::<ProjectRecord>(&path).is_err());
    }
}

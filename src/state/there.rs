//! What this computer remembers of projects that run elsewhere.

use super::layout::Layout;
use super::record::{read, write};
use crate::model::{BoxName, Place, ProjectId, PublishedPort, Result, Trying};
use crate::sys::fs::{make_folder, make_private_folder, read_if_exists};
use crate::sys::process::random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Version of the record; a newer one is refused.
const VERSION: u32 = 1;

/// Bytes of this computer's name: more than could ever meet by chance.
const NAME_BYTES: usize = 16;

/// What is known of a project elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThereRecord {
    version: u32,
    pub place: Place,
    /// Its identity over there.
    pub id: ProjectId,
    pub name: String,
    /// Folder of its `devenv.toml` on this computer.
    pub folder: PathBuf,
    /// Ports as published last.
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    /// What its keeper needs to be brought back: the boxes' wishes as of the last `up`.
    pub wanted: Option<crate::model::Project>,
}

impl ThereRecord {
    pub fn new(place: Place, id: ProjectId, name: String, folder: PathBuf) -> ThereRecord {
        ThereRecord { version: VERSION, place, id, name, folder, ports: BTreeMap::new(), wanted: None }
    }

    /// The record; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read, or a newer devenv wrote it.
    pub fn read(paths: &TherePaths) -> Result<Option<ThereRecord>> {
        read(&paths.record())
    }

    /// # Errors
    /// The disk is full or not writable; the old record is then untouched.
    pub fn write(&self, paths: &TherePaths) -> Result<()> {
        write(&paths.record(), self)
    }
}

/// Paths of a project that runs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TherePaths {
    folder: PathBuf,
    run: PathBuf,
}

impl TherePaths {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub fn record(&self) -> PathBuf {
        self.folder.join("project.json")
    }

    /// Locked by the keeper for its life: the kernel tells who has it (fcntl(2), F_GETLK).
    pub fn keeper_alive(&self) -> PathBuf {
        self.folder.join("keeper.alive")
    }

    pub fn keeper_log(&self) -> PathBuf {
        self.folder.join("keeper.log")
    }

    /// What the sync remembers.
    pub fn sync(&self) -> PathBuf {
        self.folder.join("sync")
    }

    /// Folder of the socket.
    pub fn run(&self) -> &Path {
        &self.run
    }

    pub fn keeper_socket(&self) -> PathBuf {
        self.run.join("keeper.sock")
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// The disk is full or not writable.
    pub fn make(&self) -> Result<()> {
        for folder in [&self.folder, &self.run] {
            make_folder(folder)?;
            make_private_folder(folder)?;
        }
        Ok(())
    }
}

impl Layout {
    fn theres(&self) -> PathBuf {
        self.data().join("there")
    }

    /// Paths of the project in `folder` as far as it runs in `place`.
    pub fn there(&self, folder: &Path, place: &Place) -> TherePaths {
        let name = ProjectId::of_folder_elsewhere(&place.to_string(), folder);
        TherePaths { folder: self.theres().join(name.as_str()), run: self.run().join(name.as_str()) }
    }

    /// Every project that is known to be elsewhere.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn all_there(&self) -> Result<Vec<ThereRecord>> {
        let folder = self.theres();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.trying(|| format!("cannot read {}", folder.display()))?,
        };
        let mut records = Vec::new();
        for entry in entries.flatten() {
            if let Some(record) = read::<ThereRecord>(&entry.path().join("project.json"))? {
                records.push(record);
            }
        }
        records.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(records)
    }

    /// The name of this computer among those that use one remote host: made by chance, once.
    ///
    /// # Errors
    /// It can be neither read nor made.
    pub fn computer(&self) -> Result<String> {
        let path = self.data().join("computer");
        if let Some(name) = read_if_exists(&path)? {
            return Ok(name.trim().to_owned());
        }
        make_folder(self.data())?;
        let bytes = random::<NAME_BYTES>()?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let draft = self.data().join(format!("computer.{}", std::process::id()));
        let written = std::fs::File::create(&draft).and_then(|mut file| file.write_all(name.as_bytes()));
        written.trying(|| format!("cannot write {}", draft.display()))?;
        // A link is made by one of several at once, and all read that one's.
        let linked = std::fs::hard_link(&draft, &path);
        crate::sys::fs::remove_file_if_exists(&draft)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).trying(|| format!("cannot write {}", path.display()))
            }
            _ => Ok(read_if_exists(&path)?.unwrap_or(name)),
        }
    }
}

//! Layers made on this computer: what the `setup` lines of a project leave.

use crate::image::digest::Digest;
use crate::image::store::Store;
use crate::image::store::staging::{Ready, Staging};
use crate::model::{Result, Trying};
use crate::sys::fs::{self, Lock};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How a setup stands once nobody else is making it.
pub enum Setup {
    /// It is done; its layer.
    Kept(PathBuf),
    /// It is the caller's to make.
    Begun(SetupLayer),
}

/// A setup being made; without `commit` nothing of it stays.
pub struct SetupLayer {
    staging: Staging,
    name: String,
    identity: String,
    // Dropped after the folder is gone.
    _made: Lock,
    _store: Lock,
}

impl SetupLayer {
    /// Upper folder for the overlay the lines run in.
    pub fn upper(&self) -> PathBuf {
        self.staging.folder().join("upper")
    }

    /// Work folder for that overlay.
    pub fn work(&self) -> PathBuf {
        self.staging.folder().join("work")
    }

    /// Makes what is in the upper folder a layer; nothing may be mounted on it any more. Gives the layer's folder.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn commit(self, store: &Store) -> Result<PathBuf> {
        let size_bytes = size_of_tree(&self.upper()).trying(|| "cannot look through the new layer")?;
        let (name, identity) = (self.name.clone(), self.identity.clone());
        store.keep_layers(&[Ready { folder: self.upper(), name, identity, size_bytes }])?;
        Ok(store.layer_path(&self.name))
    }
}

impl Store {
    /// The layer of a setup that was committed under this key.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub fn find_setup(&self, key: &str) -> Result<Option<PathBuf>> {
        let (name, identity) = self.setup_name(key);
        Ok(self.layer(&name, &identity)?.map(|_| self.layer_path(&name)))
    }

    /// Begins a setup, after waiting for whoever is making the same one (`waiting` is called once before that).
    ///
    /// # Errors
    /// Folders or locks cannot be made.
    pub fn begin_setup(&self, key: &str, waiting: impl FnOnce()) -> Result<Setup> {
        let store = self.lock_shared()?;
        let (name, identity) = self.setup_name(key);
        let made = fs::lock(&self.lock_path(&name), waiting)?;
        if let Some(layer) = self.find_setup(key)? {
            return Ok(Setup::Kept(layer));
        }
        let staging = Staging::begin(self)?;
        let layer = SetupLayer { staging, name, identity, _made: made, _store: store };
        for folder in [layer.upper(), layer.work()] {
            let made = std::fs::DirBuilder::new().mode(0o755).create(&folder);
            made.trying(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Ok(Setup::Begun(layer))
    }

    fn setup_name(&self, key: &str) -> (String, String) {
        (self.short_name("s", &Digest::of(key.as_bytes())), format!("setup {key}"))
    }
}

fn size_of_tree(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if facts.is_dir() {
                todo.push(entry.path());
            } else if facts.is_file() {
                bytes += facts.len();
            }
        }
    }
    Ok(bytes)
}

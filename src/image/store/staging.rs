//! Private folders for work under way, and the removal of those whose owner has died.

use crate::image::layer::place::OPAQUE;
use crate::image::store::records::LayerRecord;
use crate::image::store::{Store, write};
use crate::model::{Result, Trying};
use crate::sys::fs::{self, Lock};
use crate::sys::linux::tree;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A private folder in the store; gone when dropped, or swept away after a crash.
pub struct Staging {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl Staging {
    /// Makes one, after removing what the dead have left.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn begin(store: &Store) -> Result<Staging> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let root = store.options.root.join("staging");
        // Between making a lock file and holding it, a sweep would take its owner for dead.
        let _order = fs::lock(&root.join("order"), || ())?;
        sweep(&root)?;
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lock_path = root.join(format!("{name}.lock"));
        let lock = fs::lock(&lock_path, || ())?;
        let folder = root.join(name);
        // Of a process of the same number in another pid namespace, dead too: its lock was free.
        fs::remove_tree_if_exists(&folder)?;
        fs::make_folder(&folder)?;
        Ok(Staging { folder, lock_path, _lock: lock })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next work.
        let _ = fs::remove_tree_if_exists(&self.folder);
        let _ = fs::remove_file_if_exists(&self.lock_path);
    }
}

/// Removes the folders whose lock nobody holds.
fn sweep(root: &Path) -> Result<()> {
    let entries = std::fs::read_dir(root).trying(|| format!("cannot read the folder {}", root.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let lock_path = path.with_extension("lock");
        if let Some(_lock) = fs::try_lock(&lock_path)? {
            fs::remove_tree_if_exists(&path)?;
            fs::remove_file_if_exists(&lock_path)?;
        }
    }
    Ok(())
}

/// A layer that is complete in a private folder.
pub struct Ready {
    /// Where it is now.
    pub folder: PathBuf,
    /// Name of its folder among the layers.
    pub name: String,
    pub identity: String,
    pub size_bytes: u64,
}

impl Store {
    /// Makes complete layers visible: all their data reaches the disk first, once for all, so that a record never
    /// speaks of files that a power loss has emptied. The caller holds the locks of their names.
    ///
    /// # Errors
    /// The disk fails.
    pub(in crate::image) fn keep_layers(&self, ready: &[Ready]) -> Result<()> {
        if ready.is_empty() {
            return Ok(());
        }
        for layer in ready {
            let place = self.layer_path(&layer.name);
            // Without a record it is what a power loss has left.
            fs::remove_tree_if_exists(&place)?;
            std::fs::rename(&layer.folder, &place).trying(|| format!("cannot make {}", place.display()))?;
        }
        let root = File::open(&self.options.root).trying(|| "cannot open the store")?;
        tree::sync_file_system(&root).trying(|| "cannot write the image to the disk")?;
        for layer in ready {
            let folder = File::open(self.layer_path(&layer.name)).trying(|| "cannot open the new layer")?;
            let hides_lower = tree::has_attribute(&folder, OPAQUE);
            let (identity, size_bytes) = (layer.identity.clone(), layer.size_bytes);
            write(&self.record_path(&layer.name), &LayerRecord { identity, size_bytes, hides_lower })?;
        }
        Ok(())
    }
}

//! Taking things out of the store.

use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::store::records::{ImageRecord, LayerRecord};
use crate::image::store::staging::Staging;
use crate::image::store::{Store, unknown};
use crate::model::{Failure, ImageReference, Result};
use crate::sys::fs;
use std::collections::BTreeSet;
use std::path::Path;

/// Fewest hex digits that may stand for a digest.
const SHORTEST_ID: usize = 6;

impl Store {
    /// Takes a name away; the image goes with its last one. Also takes an image by its digest, or by the first hex
    /// digits of it, with all its names. Its layers stay until [`Store::prune`], which is told what is in use.
    ///
    /// # Errors
    /// There is no such image; several digests begin so.
    pub fn remove(&self, reference: &str) -> Result<()> {
        let _alone = fs::lock(&self.options.root.join("store.lock"), || ())?;
        let names = self.names()?;
        let named = ImageReference::parse(reference).ok();
        if let Some(name) = names.iter().find(|name| Some(&name.reference) == named.as_ref()) {
            fs::remove_file_if_exists(&self.name_path(&name.reference))?;
            if names.iter().filter(|other| other.digest == name.digest).count() > 1 {
                return Ok(());
            }
            return fs::remove_file_if_exists(&self.image_path(&name.digest));
        }
        let digest = self.find_id(reference)?;
        for name in names.iter().filter(|name| name.digest == digest) {
            fs::remove_file_if_exists(&self.name_path(&name.reference))?;
        }
        fs::remove_file_if_exists(&self.image_path(&digest))
    }

    fn find_id(&self, text: &str) -> Result<Digest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() < SHORTEST_ID || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown(text));
        }
        let images = self.read_all::<ImageRecord>("images")?;
        let mut found = images.into_iter().map(|record| record.digest).filter(|digest| digest.hex().starts_with(hex));
        match (found.next(), found.next()) {
            (Some(digest), None) => Ok(digest),
            (None, _) => Err(unknown(text)),
            (Some(_), Some(_)) => Err(Failure::new(format!("several images begin with '{text}'"))),
        }
    }

    /// Removes every image whose digest is not in `keep`, and every layer that no image left needs and whose folder name
    /// is not in `keep`. Gives the bytes freed. Waits until nobody is adding to the store.
    ///
    /// # Errors
    /// The first thing that cannot be removed.
    pub fn prune(&self, keep: &BTreeSet<String>) -> Result<u64> {
        let _alone = fs::lock(&self.options.root.join("store.lock"), || ())?;
        // Sweeps what the dead have left.
        drop(Staging::begin(self)?);
        for name in self.names()?.iter().filter(|name| !keep.contains(name.digest.as_str())) {
            fs::remove_file_if_exists(&self.name_path(&name.reference))?;
        }
        let mut needed = keep.clone();
        for record in self.read_all::<ImageRecord>("images")? {
            if !keep.contains(record.digest.as_str()) {
                fs::remove_file_if_exists(&self.image_path(&record.digest))?;
                continue;
            }
            let file = ConfigFile::parse(record.config_json.as_bytes())?;
            needed.extend(file.diff_ids.iter().map(|diff_id| self.layer_name(diff_id)));
        }
        self.remove_layers(&needed)
    }

    fn remove_layers(&self, needed: &BTreeSet<String>) -> Result<u64> {
        let mut freed = 0;
        for path in self.list_folder("layers")? {
            let name = file_name(&path);
            if needed.contains(&name) {
                continue;
            }
            let record = self.record_path(&name);
            freed += self.read::<LayerRecord>(&record)?.map_or(0, |layer| layer.size_bytes);
            // The record goes first: a layer half removed must not count as one.
            fs::remove_file_if_exists(&record)?;
            fs::remove_tree_if_exists(&path)?;
            fs::remove_file_if_exists(&self.lock_path(&name))?;
        }
        Ok(freed)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

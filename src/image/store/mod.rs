//! The store: images and layers of one user, shared by all projects and by several processes at once.
//!
//! ```text
//! layers/NAME/        an unpacked layer; counts only with its record
//! records/NAME.json   says which layer it is; written after the layer is on the disk
//! images/HEX.json     an image: its config and digest; written last of all
//! names/HEX.json      a reference and the image it means
//! staging/ID/         a work under way, ID.lock held by whoever does it
//! locks/NAME.lock     held by whoever makes the layer
//! store.lock          shared by those who add, alone for those who remove
//! ```

pub mod fill;
mod prune;
mod records;
pub mod setup;
pub mod staging;

use crate::image::config::{ConfigFile, Image, ImageListed};
use crate::image::digest::Digest;
use crate::image::layer::limits::Limits;
use crate::image::local;
use crate::image::registry::patience::Patience;
use crate::model::supply::Supply;
use crate::model::{Failure, ImageReference, ImageSource, Kind, Result, Trying};
use crate::sys::fs::{self, Lock};
use records::{ImageRecord, LayerRecord, NameRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who owns the files of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerIds {
    /// As the image says; ids 0 to `count` - 1 exist in this user namespace.
    Mapped { count: u32 },
    /// Whoever runs this process: there is only one id.
    Single,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub root: PathBuf,
    /// As Linux names it: `x86_64`.
    pub architecture: String,
    pub ids: LayerIds,
    pub limits: Limits,
    pub patience: Patience,
    /// A caller elsewhere, who has the credentials and the images in files; `None`: this computer has them.
    pub supply: Option<Arc<dyn Supply>>,
}

impl StoreOptions {
    /// Options with the usual limits.
    pub fn new(root: impl Into<PathBuf>, architecture: impl Into<String>, ids: LayerIds) -> StoreOptions {
        let (limits, patience) = (Limits::default(), Patience::default());
        StoreOptions { root: root.into(), architecture: architecture.into(), ids, limits, patience, supply: None }
    }
}

/// A store, open.
pub struct Store {
    pub(in crate::image) options: StoreOptions,
}

/// Hex digits in a layer's name: short, because overlayfs gets all names on one page; long enough that nobody can make
/// a second layer for a name. The record has all 64 and is compared.
const NAME_DIGITS: usize = 20;

impl Store {
    /// Opens the store, making its folders.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn open(options: StoreOptions) -> Result<Store> {
        for folder in ["", "layers", "records", "images", "names", "staging", "locks"] {
            let path = options.root.join(folder);
            // Setuid files of images belong to nobody who can walk in here.
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .trying(|| format!("cannot make the folder {}", path.display()))?;
        }
        Ok(Store { options })
    }

    /// The image a source means, when all of it is here.
    ///
    /// # Errors
    /// Records cannot be read; an image in files is missing or damaged.
    pub fn find(&self, source: &ImageSource) -> Result<Option<Image>> {
        match source {
            ImageSource::Registry(reference) => self.find_reference(reference),
            source => match local::open(source, &self.options.architecture, self.options.supply.as_ref())? {
                Some(found) => self.load(&found.digest, None),
                None => Ok(None),
            },
        }
    }

    /// The images here, by name; those without a name last.
    ///
    /// # Errors
    /// The folder or a record cannot be read.
    pub fn list(&self) -> Result<Vec<ImageListed>> {
        let names = self.names()?;
        let mut listed = Vec::new();
        for record in self.read_all::<ImageRecord>("images")? {
            let Some(image) = self.load(&record.digest, None)? else { continue };
            let mut references: Vec<_> = names
                .iter()
                .filter(|name| name.digest == record.digest)
                .map(|name| Some(name.reference.clone()))
                .collect();
            if references.is_empty() {
                references.push(None);
            }
            listed.extend(references.into_iter().map(|reference| ImageListed {
                reference,
                digest: image.digest.clone(),
                size_bytes: image.size_bytes,
                created: image.created.clone(),
            }));
        }
        listed.sort_by(|a, b| {
            (a.reference.is_none(), &a.reference, &a.digest).cmp(&(b.reference.is_none(), &b.reference, &b.digest))
        });
        Ok(listed)
    }

    /// Gives an image one more name, taking it from the image that had it.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn name(&self, image: &Image, as_reference: &ImageReference) -> Result<()> {
        let _lock = self.lock_shared()?;
        self.write_name(as_reference, &Digest::parse(&image.digest)?)
    }

    pub(in crate::image) fn find_reference(&self, reference: &ImageReference) -> Result<Option<Image>> {
        if let Some(name) = self.read::<NameRecord>(&self.name_path(reference))?
            && name.reference == *reference
        {
            return self.load(&name.digest, Some(reference));
        }
        match &reference.digest {
            Some(digest) => self.load(&Digest::parse(digest)?, Some(reference)),
            None => Ok(None),
        }
    }

    /// The image of a digest, when all its layers are here.
    pub(in crate::image) fn load(&self, digest: &Digest, reference: Option<&ImageReference>) -> Result<Option<Image>> {
        let Some(record) = self.read::<ImageRecord>(&self.image_path(digest))? else { return Ok(None) };
        let file = ConfigFile::parse(record.config_json.as_bytes())?;
        let (mut layers, mut size_bytes) = (Vec::new(), 0);
        for diff_id in &file.diff_ids {
            let name = self.layer_name(diff_id);
            let Some(layer) = self.layer(&name, diff_id.as_str())? else { return Ok(None) };
            if layer.hides_lower {
                layers.clear();
            }
            layers.push(self.layer_path(&name));
            size_bytes += layer.size_bytes;
        }
        Ok(Some(Image {
            reference: reference.cloned(),
            digest: digest.to_string(),
            config: file.config,
            layers,
            size_bytes,
            created: file.created,
        }))
    }

    /// The record of a complete layer.
    ///
    /// # Errors
    /// Another layer has its short name.
    fn layer(&self, name: &str, identity: &str) -> Result<Option<LayerRecord>> {
        match self.read::<LayerRecord>(&self.record_path(name))? {
            Some(record) if record.identity != identity => Err(Failure::new(format!(
                "the layers {identity} and {} begin alike: one of them was made to deceive",
                record.identity
            ))),
            other => Ok(other),
        }
    }

    fn write_image(&self, digest: &Digest, config_json: &str) -> Result<()> {
        let record = ImageRecord { digest: digest.clone(), config_json: config_json.to_owned() };
        write(&self.image_path(digest), &record)
    }

    fn write_name(&self, reference: &ImageReference, digest: &Digest) -> Result<()> {
        let record = NameRecord { reference: reference.clone(), digest: digest.clone() };
        write(&self.name_path(reference), &record)
    }

    /// Makes an image visible: its record, then its name.
    ///
    /// # Errors
    /// They cannot be written.
    pub(in crate::image) fn add_image(
        &self,
        digest: &Digest,
        config_json: &[u8],
        reference: Option<&ImageReference>,
    ) -> Result<Image> {
        let text = std::str::from_utf8(config_json).trying(|| "the image's config is no text")?;
        self.write_image(digest, text)?;
        if let Some(reference) = reference {
            self.write_name(reference, digest)?;
        }
        let image = self.load(digest, reference)?;
        image.ok_or_else(|| Failure::new(format!("the image {digest} has gone while it was added")))
    }

    fn names(&self) -> Result<Vec<NameRecord>> {
        self.read_all("names")
    }

    /// The name of a layer's folder: the beginning of its diff id, and the kind of ownership it was unpacked with.
    fn layer_name(&self, diff_id: &Digest) -> String {
        self.short_name("", diff_id)
    }

    fn short_name(&self, prefix: &str, digest: &Digest) -> String {
        let suffix = if self.options.ids == LayerIds::Single { "-1" } else { "" };
        format!("{prefix}{}{suffix}", &digest.hex()[..NAME_DIGITS])
    }

    fn layer_path(&self, name: &str) -> PathBuf {
        self.options.root.join("layers").join(name)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.options.root.join("records").join(format!("{name}.json"))
    }

    fn image_path(&self, digest: &Digest) -> PathBuf {
        self.options.root.join("images").join(format!("{}.json", digest.hex()))
    }

    fn name_path(&self, reference: &ImageReference) -> PathBuf {
        let hex = Digest::of(reference.to_string().as_bytes());
        self.options.root.join("names").join(format!("{}.json", &hex.hex()[..32]))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.options.root.join("locks").join(format!("{name}.lock"))
    }

    pub(in crate::image) fn lock_shared(&self) -> Result<Lock> {
        fs::lock_shared(&self.options.root.join("store.lock"))
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let Some(text) = fs::read_if_exists(path)? else { return Ok(None) };
        // A record cut short by a power loss is no record: what it spoke of is fetched again.
        Ok(serde_json::from_str(&text).ok())
    }

    fn read_all<T: DeserializeOwned>(&self, folder: &str) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for path in self.list_folder(folder)? {
            if path.extension().is_some_and(|extension| extension == "json") {
                all.extend(self.read(&path)?);
            }
        }
        Ok(all)
    }

    fn list_folder(&self, folder: &str) -> Result<Vec<PathBuf>> {
        let path = self.options.root.join(folder);
        let entries = std::fs::read_dir(&path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut paths: Vec<PathBuf> = entries.trying(|| format!("cannot read the folder {}", path.display()))?;
        paths.sort();
        Ok(paths)
    }
}

fn write(path: &Path, record: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(record).trying(|| format!("cannot write {}", path.display()))?;
    fs::write_atomically(path, &text)
}

/// That nothing here has a name.
fn unknown(reference: &str) -> Failure {
    Failure::new(format!("there is no image '{reference}' here")).kind(Kind::NotFound).hint("see `devenv image list`")
}

//! What a box stands on: an image from the store or this computer's own tree, and the layer its setup left.

use super::site::{Computer, Site};
use crate::engine::ids::IdMode;
use crate::image::{Image, ImageConfig, LayerIds, Store, StoreOptions};
use crate::model::{BoxWanted, ImageSource, Result};
use crate::sys::linux::interrupt;
use std::path::PathBuf;

/// What a box stands on.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// `None` for this computer's own tree.
    pub digest: Option<String>,
    /// Folders under the box's own layer, bottom first.
    pub layers: Vec<PathBuf>,
    pub config: ImageConfig,
}

impl Computer {
    /// The image store that fits the ids of this user's boxes.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn store(&self) -> Result<Store> {
        let ids = match self.mode() {
            IdMode::Many { count } => LayerIds::Mapped { count },
            IdMode::Single => LayerIds::Single,
        };
        let root = self.layout.store(self.has_single_id());
        let options = StoreOptions::new(root, self.host.architecture.clone(), ids);
        Store::open(StoreOptions { supply: self.supply.clone(), ..options })
    }
}

impl Site<'_> {
    /// Digest of the image that `wanted` would get from the store now; `None` when it would have to be fetched.
    pub fn current_digest(&self, store: &Store, wanted: &BoxWanted) -> Option<String> {
        match wanted.image {
            ImageSource::Host => None,
            _ => store.find(&wanted.image).ok().flatten().map(|image| image.digest),
        }
    }

    /// Gets the image of a box, pulling it when it is not in the store.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn obtain(&self, store: &Store, wanted: &BoxWanted) -> Result<Base> {
        if wanted.image == ImageSource::Host {
            return Ok(Base::default());
        }
        let settings = self.computer.settings()?;
        let image = store.obtain(&wanted.image, &settings, false, &interrupt::wanted, &self.context.events)?;
        Ok(Base::of(image))
    }
}

impl Base {
    fn of(image: Image) -> Base {
        Base { digest: Some(image.digest), layers: image.layers, config: image.config }
    }
}

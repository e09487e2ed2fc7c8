//! What the store writes down.

use crate::image::digest::Digest;
use crate::model::ImageReference;
use serde::{Deserialize, Serialize};

/// An image.
#[derive(Serialize, Deserialize)]
pub struct ImageRecord {
    pub digest: Digest,
    /// The config blob as it came, which names the layers.
    pub config_json: String,
}

/// A name for an image.
#[derive(Serialize, Deserialize)]
pub struct NameRecord {
    pub reference: ImageReference,
    pub digest: Digest,
}

/// A complete layer.
#[derive(Serialize, Deserialize)]
pub struct LayerRecord {
    /// The whole diff id, or the key of a setup.
    pub identity: String,
    /// Of its files' contents.
    pub size_bytes: u64,
    /// Its root is opaque: nothing below it shows.
    #[serde(default)]
    pub hides_lower: bool,
}

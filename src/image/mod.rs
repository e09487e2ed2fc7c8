//! Images: fetched from registries, folders and archives, checked, unpacked, kept.
//!
//! Everything that comes from an image is untrusted. Bytes flow in one direction and are never all in memory or
//! twice on disk: source -> digest -> inflate -> diff id -> tar entries -> files in a private folder -> rename.

mod cancel;
mod config;
mod digest;
mod layer;
mod local;
mod manifest;
mod obtain;
mod registry;
mod store;

pub use config::{Image, ImageConfig, ImageListed};
pub use layer::limits::Limits as UnpackLimits;
pub use registry::patience::Patience;
pub use store::setup::{Setup, SetupLayer};
pub use store::{LayerIds, Store, StoreOptions};

//! Images: fetched from registries, folders and archives, checked, unpacked, kept.
//!
//! Everything that comes from an image is untrusted. Bytes flow in one direction and are never all in memory or
//! twice on disk: source -> digest -> inflate -> diff id -> tar entries -> files in a private folder -> rename.

//!
//! Layers are unpacked on Linux only; a file that is kept in a registry (`artifact`) is fetched everywhere.

pub mod artifact;
#[cfg(target_os = "linux")]
mod cancel;
#[cfg(target_os = "linux")]
mod config;
mod digest;
#[cfg(target_os = "linux")]
mod layer;
#[cfg(target_os = "linux")]
mod local;
mod manifest;
#[cfg(target_os = "linux")]
mod obtain;
#[cfg(target_os = "linux")]
mod platform;
mod registry;
#[cfg(target_os = "linux")]
mod store;

#[cfg(target_os = "linux")]
pub use config::{Image, ImageConfig, ImageListed};
#[cfg(target_os = "linux")]
pub use layer::limits::Limits as UnpackLimits;
pub use registry::credentials;
pub use registry::patience::Patience;
#[cfg(target_os = "linux")]
pub use store::setup::{Setup, SetupLayer};
#[cfg(target_os = "linux")]
pub use store::{LayerIds, Store, StoreOptions};

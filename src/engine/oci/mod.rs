//! Boxes from OCI bundles, for those who bring their own `config.json`: podman, containerd, and whoever checks that the
//! engine keeps the OCI runtime-spec.
//!
//! A container has a folder below the runtime's root with its [`state`] and, until it is started, a socket: its first
//! process listens there and becomes the program for the first who says so.

mod bundle;
pub mod container;
mod disks;
pub mod features;
mod filter;
mod groups;
pub mod hooks;
mod resources;
pub mod state;

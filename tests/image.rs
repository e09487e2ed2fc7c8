//! Images for real: registries, archives and layouts on disk, hostile layers, cut connections, several processes.

#[path = "image/access.rs"]
mod access;
#[path = "image/artifact.rs"]
mod artifact;
#[path = "image/hostile.rs"]
mod hostile;
#[path = "image/local.rs"]
mod local;
#[path = "image/make.rs"]
mod make;
#[path = "image/network.rs"]
mod network;
#[path = "image/processes.rs"]
mod processes;
#[path = "image/registry.rs"]
mod registry;
#[path = "image/server.rs"]
mod server;
#[path = "image/store.rs"]
mod store;
#[path = "image/support.rs"]
mod support;

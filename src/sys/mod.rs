//! What the operating system offers. No word of devenv's own here; all `unsafe` and all spawning of processes.

pub mod accept;
pub mod account;
pub mod child;
pub mod command;
pub mod datagram;
pub mod detached;
pub mod environment;
pub mod folder;
pub mod framed;
pub mod fs;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
pub mod mux;
#[cfg(target_os = "linux")]
pub mod pipe_room;
#[cfg(not(target_os = "linux"))]
#[path = "pipe_room_elsewhere.rs"]
pub mod pipe_room;
pub mod ports;
pub mod process;
pub mod program;
pub mod relay;
pub mod runtime;
pub mod socket;
pub mod stream;
pub mod task;
pub mod terminal;
#[cfg(target_arch = "x86_64")]
pub mod tsc;
#[cfg(not(target_arch = "x86_64"))]
#[path = "tsc_elsewhere.rs"]
pub mod tsc;
pub mod unix;
pub mod virtualization;

#[cfg(target_os = "linux")]
#[path = "linux/rename.rs"]
mod rename;
#[cfg(not(target_os = "linux"))]
#[path = "macos/rename.rs"]
mod rename;
#[cfg(target_os = "linux")]
#[path = "linux/tree_watch.rs"]
pub mod tree_watch;
#[cfg(not(target_os = "linux"))]
#[path = "macos/tree_watch.rs"]
pub mod tree_watch;

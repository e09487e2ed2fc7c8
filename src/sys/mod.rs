//! What the operating system offers. No word of devenv's own here; all `unsafe` and all spawning of processes.

pub mod command;
pub mod environment;
pub mod folder;
pub mod fs;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod stream;

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

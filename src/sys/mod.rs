//! What the operating system offers. No word of devenv's own here; all `unsafe` and all spawning of processes.

pub mod command;
pub mod detached;
pub mod environment;
pub mod fs;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
pub mod process;
pub mod stream;
pub mod virtualization;

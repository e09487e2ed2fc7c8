//! What the operating system offers. No word of devenv's own here; all `unsafe` and all spawning of processes.

pub mod child;
pub mod command;
pub mod datagram;
pub mod environment;
pub mod framed;
pub mod fs;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod mux;
pub mod relay;
pub mod stream;

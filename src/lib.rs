//! devenv: developer environments from one file.
//!
//! Crate map. A row imports only rows below it; folders in one row never import each other; doors reach
//! skills only through verbs. `tests/architecture.rs` reads this table and fails on any import that breaks it.
//!
//! | row    | folders                                | the question it answers                                   |
//! |--------|----------------------------------------|-----------------------------------------------------------|
//! | doors  | cli agent keeper                       | who is asking: a person, the host over SSH, the background |
//! | verbs  | ops                                    | what do they want: up, down, shell, status                |
//! | skills | config state image engine network machine sync tunnel | what can we do: one ability a folder, blind to its siblings |
//! | floor  | sys                                    | what does the operating system offer: no devenv words     |
//! | nouns  | model                                  | what are we talking about: plain data, no I/O, no clock   |
//!
//! `keeper` is the background process of one running project; it is a door because a process starts in it.

#[cfg(target_os = "linux")]
pub mod agent;
pub mod cli;
pub mod config;
#[cfg(target_os = "linux")]
pub mod engine;
pub mod image;
pub mod keeper;
pub mod machine;
pub mod model;
#[cfg(target_os = "linux")]
pub mod network;
pub mod ops;
pub mod state;
pub mod sync;
pub mod sys;
pub mod tunnel;

#[cfg(target_os = "linux")]
mod inner;
#[cfg(not(target_os = "linux"))]
#[path = "inner_elsewhere.rs"]
mod inner;

use std::process::ExitCode;

/// Opens the door named by how this program was started.
pub fn main() -> ExitCode {
    inner::door().unwrap_or_else(cli::run)
}

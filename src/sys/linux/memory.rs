//! Files that live in memory and have no name (`memfd_create(2)`).

use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io;

/// An empty one; `label` shows in `/proc` only.
///
/// # Errors
/// No memory, or too many open files.
pub fn create(label: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(label, MFdFlags::MFD_CLOEXEC)?))
}

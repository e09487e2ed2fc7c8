//! How much a pipe holds before whoever writes has to wait: this system decides it alone.

use std::os::fd::AsFd;

/// Does nothing here.
pub fn enlarge(_: &impl AsFd) {}

//! The runtime that asynchronous work runs in.

use crate::model::{Result, Trying};
use std::os::unix::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

/// Pairs of sockets that are as many descriptors as the runtime takes: one to poll with, one that wakes it, and three for
/// signals.
const PAIRS: usize = 3;

/// A runtime on the thread that enters it.
///
/// # Errors
/// The system gives no descriptors for it.
pub fn current_thread() -> Result<Runtime> {
    // Without sockets for its signals tokio does not fail, it panics.
    let room: std::io::Result<Vec<_>> = (0..PAIRS).map(|_| UnixStream::pair()).collect();
    room.trying(|| "cannot start the runtime")?;
    Builder::new_current_thread().enable_all().build().trying(|| "cannot start the runtime")
}

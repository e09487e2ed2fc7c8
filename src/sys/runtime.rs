//! The runtime that asynchronous work runs in.

use crate::model::{Result, Trying};
use tokio::runtime::{Builder, Runtime};

/// A runtime on the thread that enters it.
///
/// # Errors
/// The system gives no descriptors for it.
pub fn current_thread() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().trying(|| "cannot start the runtime")
}

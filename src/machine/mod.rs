//! A Linux machine for those who need one: the managed VM, or a remote host over SSH.

pub mod clock;
pub mod remote;
pub mod ssh;
pub mod vm;
pub mod waking;

use crate::model::Result;
use crate::sys::stream::Stream;
use futures_util::future::BoxFuture;

/// A connection to a far `devenv agent`. Its streams are independent of each other: one that is not read holds up no
/// other. Dropping the last handle closes it.
pub trait Line: Send + Sync {
    /// A new stream; the far side waits for a `model::far::Request` on it.
    fn open(&self) -> BoxFuture<'_, Result<Stream>>;

    /// Returns when the connection is lost, with why.
    fn lost(&self) -> BoxFuture<'_, String>;
}

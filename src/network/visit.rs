//! Sockets inside namespaces, for asynchronous callers.

use crate::sys::linux::netns::{Namespace, Visitor};
use std::io;
use tokio::sync::oneshot;

/// Does `work` in `namespace` on the visiting thread.
///
/// # Errors
/// Those of `work`, or the namespace cannot be entered.
pub async fn visit<T: Send + 'static>(
    visitor: &Visitor,
    namespace: &Namespace,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    visitor.send(namespace, work, move |result| drop(sender.send(result)));
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the visiting thread has ended")))
}

/// Makes a namespace, on the visiting thread.
///
/// # Errors
/// There may be no more namespaces.
pub async fn create(visitor: &Visitor) -> io::Result<Namespace> {
    let (sender, receiver) = oneshot::channel();
    visitor.create(move |result| drop(sender.send(result)));
    receiver.await.unwrap_or_else(|_| Err(io::Error::other("the visiting thread has ended")))
}

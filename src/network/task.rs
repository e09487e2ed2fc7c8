//! Work that ends when nobody holds it any more, and one line of log where it cannot go on.

use std::future::Future;
use tokio::task::JoinHandle;

/// A task of the runtime, ended on drop.
pub struct Task(JoinHandle<()>);

impl Task {
    pub fn start(work: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

//! Work that ends when nobody holds it any more.

use std::future::Future;
use tokio::task::JoinHandle;

/// A task of the runtime, ended on drop.
pub struct Task(JoinHandle<()>);

impl Task {
    pub fn start(work: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(work))
    }
}

impl Task {
    /// Ends it and waits until what it held is let go of.
    pub async fn end(mut self) {
        self.0.abort();
        // What it says is that it was ended.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

//! A guest that nobody uses ends itself.

use super::complain;
use crate::ops::here;
use std::time::Duration;
use tokio::sync::watch;

/// Counts the connections of those who were let in.
#[derive(Clone, Default)]
pub struct Connections(watch::Sender<usize>);

/// One connection, until it is dropped.
pub struct Connected(watch::Sender<usize>);

impl Connections {
    pub fn one_more(&self) -> Connected {
        self.0.send_modify(|count| *count += 1);
        Connected(self.0.clone())
    }

    /// Returns when for `patience` there was no connection and then no box runs. `None`: never.
    pub async fn unused_for(&self, patience: Option<Duration>) {
        let Some(patience) = patience else { return std::future::pending().await };
        let mut counts = self.0.subscribe();
        loop {
            // The sender is ours: it cannot have ended.
            let _ = counts.wait_for(|count| *count == 0).await;
            let busy = tokio::time::timeout(patience, counts.wait_for(|count| *count > 0)).await.is_ok();
            if !busy && !boxes_run().await {
                return;
            }
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Whether any box runs. Where that cannot be told, one might.
async fn boxes_run() -> bool {
    match tokio::task::spawn_blocking(here::running).await {
        Ok(Ok(running)) => !running.is_empty(),
        Ok(Err(failure)) => {
            complain(&failure);
            true
        }
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guest_with_a_connection_is_not_idle() {
        use futures_util::FutureExt;
        let connections = Connections::default();
        let first = connections.one_more();
        assert!(connections.unused_for(Some(Duration::ZERO)).now_or_never().is_none());
        drop(first);
        assert_eq!(*connections.0.borrow(), 0);
    }
}

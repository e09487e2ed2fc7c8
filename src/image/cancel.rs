//! Stopping work that many threads do together.

use crate::model::{Failure, Kind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Raised once, by a person's Ctrl-C or by the first failure among parallel works.
#[derive(Default)]
pub struct Cancel {
    raised: AtomicBool,
    waiting: Notify,
}

impl Cancel {
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        // A permit for one who comes later, a wake for all who wait.
        self.waiting.notify_waiters();
        self.waiting.notify_one();
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// # Errors
    /// It is raised.
    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(interrupted()) } else { Ok(()) }
    }

    /// The outcome of `work`, unless this is raised before.
    ///
    /// # Errors
    /// Those of `work`; interrupted.
    pub async fn unless<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let raised = self.waiting.notified();
        self.check()?;
        tokio::select! {
            outcome = work => outcome,
            () = raised => {
                self.waiting.notify_one();
                Err(interrupted())
            }
        }
    }
}

/// The failure of work that was stopped on purpose.
pub fn interrupted() -> Failure {
    Failure::new("interrupted").kind(Kind::Interrupted)
}

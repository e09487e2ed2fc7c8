//! Opens the tree on this side.

use super::controller::{Controller, LOOK_FOR_ROOT};
use super::life::{Life, LifeId};
use super::message::Tell;
use super::names::Rules;
use super::reconcile::Side;
use super::replica::Replica;
use super::session::SessionStart;
use super::worker::{Work, Worker};
use crate::model::Result;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The tree on this side, with a thread of its own that works on it.
pub(super) struct Opened {
    worker: JoinHandle<()>,
    asks: std::sync::mpsc::Sender<Work>,
    life: LifeId,
    inode: u64,
    rules: Rules,
}

/// Opens it. Its thread takes up what was known of it, beside whatever the caller does.
///
/// # Errors
/// The root is missing, or the state folder cannot be used.
pub(super) fn open_here(start: &SessionStart, tells: &mpsc::Sender<Tell>) -> Result<Opened> {
    let own = start.state.join("here");
    let replica = Replica::open(&start.root, &own, &start.ignore, None)?;
    let life = Life::begin(&own)?;
    let (id, inode, rules) = (life.id, replica.inode, replica.rules);
    let (asks, work) = std::sync::mpsc::channel();
    let (tells, wake) = (tells.clone(), asks.clone());
    let worker = tokio::task::spawn_blocking(move || Worker::new(replica, life, tells, wake).run(work));
    Ok(Opened { worker, asks, life: id, inode, rules })
}

impl Controller {
    /// Works with the tree on this side, or looks for it again in a while.
    pub(super) fn opened(&mut self, opened: Result<Opened>) {
        match opened {
            Ok(Opened { worker, asks, life, inode, rules }) => {
                self.told_lives.here = Some(life);
                let known = *self.root_inode.get_or_insert(inode);
                if known != inode {
                    self.guard.hold(format!("{} is another folder than it was", self.start.root.display()));
                    self.root_inode = Some(inode);
                }
                self.here.rules = rules;
                self.worker = Some(worker);
                self.asks_here = Some(asks);
                self.here.lost = None;
                self.scan(Side::Here);
            }
            Err(failure) => {
                self.here.lost = Some(failure.chain().join(": "));
                self.look_at = Some(Instant::now() + LOOK_FOR_ROOT);
            }
        }
    }
}

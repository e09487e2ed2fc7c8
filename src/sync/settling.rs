//! What a replica keeps between runs, and when what it wrote is on disk.

use super::life::{Life, LifeId};
use super::message::{Tell, Ticket};
use super::replica::Replica;
use super::scan::nanoseconds_now;
use super::store::{load, save};
use super::tree::Node;
use super::worker::{Told, Work, Worker};
use serde::{Deserialize, Serialize};
use std::io;

/// The name of the file with the tree as it was last read.
const SEEN: &str = "seen";

/// The tree as it was last read.
#[derive(Serialize, Deserialize)]
struct Seen {
    life: LifeId,
    /// What changed later may have been lost if the computer went down; since 1970.
    on_disk_nanoseconds: i64,
    tree: Node,
}

/// Clocks of file systems tick every 1 to 10 ms, and those of computers are set.
const CLOCK_MARGIN_NANOSECONDS: i64 = 60_000_000_000;

/// Takes what was read last for what is there; what may have been lost since is read again. Returns since when all is on
/// disk, in nanoseconds since 1970; zero: nobody can say, so what is kept has to be kept anew.
pub fn recall(replica: &mut Replica, life: &Life) -> i64 {
    let Some(seen) = load::<Seen>(&replica.state.join(SEEN)) else { return 0 };
    let mut tree = seen.tree;
    let same_life = seen.life == life.id;
    if !same_life {
        tree.forget_stamps_since(seen.on_disk_nanoseconds - CLOCK_MARGIN_NANOSECONDS);
    }
    replica.remember(tree);
    if same_life { seen.on_disk_nanoseconds } else { 0 }
}

impl Worker {
    pub(super) fn end(mut self) {
        self.save_seen()();
        if std::mem::take(&mut self.dirty) && self.replica.root.sync_file_system().is_ok() {
            let _ = self.life.settle();
        }
    }

    /// Keeps what was read, so that the next start need not read it again. Writing it waits for the disk, so that it may
    /// be done elsewhere.
    fn save_seen(&self) -> impl FnOnce() + Send + 'static {
        let (life, on_disk_nanoseconds, tree) = (self.life.id, self.on_disk_nanoseconds, self.replica.tree().clone());
        let (path, saving) = (self.replica.state.join(SEEN), self.saving.clone());
        move || {
            let _one_at_a_time = saving.lock();
            let seen = Seen { life, on_disk_nanoseconds, tree };
            let _ = save(&path, &seen);
        }
    }

    /// Writes all to disk, beside the other work: a disk that is busy with other things takes its time.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Told {
        self.dirty = false;
        let seen = std::mem::take(&mut self.unsaved).then(|| self.save_seen());
        let (root, wake) = (self.replica.root.clone(), self.wake.clone());
        let nanoseconds = nanoseconds_now();
        let write = move || {
            if let Some(save) = seen {
                save();
            }
            let error = root.sync_file_system().err();
            let _ = wake.send(Work::OnDisk { ticket, nanoseconds, error });
        };
        match std::thread::Builder::new().name("settle".into()).spawn(write) {
            Ok(_) => Ok(()),
            Err(error) => self.on_disk(ticket, nanoseconds, Some(error)),
        }
    }

    pub(super) fn on_disk(&mut self, ticket: Ticket, nanoseconds: i64, error: Option<io::Error>) -> Told {
        let settled = error.map_or(Ok(()), Err).and_then(|()| self.replica.trash.close_batch());
        if let Err(error) = settled {
            self.dirty = true;
            return self.tell(Tell::Note(format!("cannot settle {}: {error}", self.replica.root_path.display())));
        }
        self.on_disk_nanoseconds = nanoseconds;
        self.tell(Tell::Settled { ticket })
    }
}

//! The thread that a replica works in: takes what is asked, in order, and tells.

use super::message::{Ask, Body, Order, Outcome, ReadFile, Tell, Ticket};
use super::path::{Blob, TreePath};
use super::replica::{Replica, digest};
use super::scan::hash_of;
use super::stage::Growing;
use super::store::{Listed, load, save};
use super::tree::{Change, Hash, Now, differences};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

/// Changes told in one message.
const BATCH_BYTES: usize = 1 << 18;
/// What a change takes beside its path.
const CHANGE_BYTES: usize = 64;
/// A piece asked for is never longer.
const LONGEST_PIECE_BYTES: u32 = 1 << 20;
/// The name of the file with the tree as it was last read.
const SEEN: &str = "seen";

/// The work of one replica.
pub struct Worker {
    replica: Replica,
    tells: Sender<Tell>,
    growing: HashMap<Ticket, Growing>,
    /// Something was written since the last `Settle`.
    dirty: bool,
}

/// Whoever listened is gone.
struct Gone;

type Told = Result<(), Gone>;

impl Worker {
    /// Prepares the work; the tree as it was last read is loaded.
    pub fn new(mut replica: Replica, tells: Sender<Tell>) -> Worker {
        if let Some(seen) = load::<Listed>(&replica.state.join(SEEN)) {
            replica.remember(seen.into());
        }
        Worker { replica, tells, growing: HashMap::new(), dirty: false }
    }

    /// Works until nobody asks any more, or nobody listens.
    pub fn run(mut self, mut asks: UnboundedReceiver<Ask>) {
        while let Some(ask) = asks.blocking_recv() {
            if self.answer(ask).is_err() {
                break;
            }
        }
        let _ = save(&self.replica.state.join(SEEN), &Listed::from(self.replica.tree()));
    }

    fn tell(&mut self, tell: Tell) -> Told {
        self.tells.blocking_send(tell).map_err(|_| Gone)
    }

    fn answer(&mut self, ask: Ask) -> Told {
        match ask {
            Ask::Scan { known } => self.scan(known),
            Ask::Read(files) => self.read(files),
            Ask::ReadPiece { ticket, path, offset, length } => {
                let data = read_piece(&mut self.replica, &path, offset, length).map(Blob);
                self.tell(Tell::Piece { ticket, data })
            }
            Ask::Do(orders) => self.obey(orders),
            Ask::Begin { ticket, hash, size_bytes } => {
                let have = match self.replica.begin(hash, size_bytes) {
                    Ok(growing) => {
                        let have = growing.have_bytes();
                        self.growing.insert(ticket, growing);
                        have
                    }
                    // What follows fails with the reason.
                    Err(_) => 0,
                };
                self.tell(Tell::Begun { ticket, have })
            }
            Ask::Piece { ticket, data } => {
                let length = data.0.len() as u64;
                if let Some(growing) = self.growing.get_mut(&ticket)
                    && growing.add(&data.0).is_err()
                {
                    self.growing.remove(&ticket);
                }
                self.tell(Tell::Written { ticket, length })
            }
            Ask::CopyPiece { ticket, path, offset, length } => {
                if let Some(mut growing) = self.growing.remove(&ticket)
                    && self.replica.copy_piece(&mut growing, &path, offset, length).is_ok()
                {
                    self.growing.insert(ticket, growing);
                }
                self.tell(Tell::Written { ticket, length })
            }
            Ask::Abandon { ticket } => {
                self.growing.remove(&ticket);
                Ok(())
            }
            Ask::Chunks { ticket, .. } => self.tell(Tell::Chunks { ticket, chunks: Vec::new() }),
            Ask::Barrier { ticket } => {
                self.rescan()?;
                self.tell(Tell::Barrier { ticket })
            }
            Ask::Settle { ticket } => self.settle(ticket),
            Ask::Undo { ticket } => self.tell(Tell::Undone { ticket, count: 0 }),
        }
    }

    fn scan(&mut self, known: Hash) -> Told {
        if !self.replica.is_root_there() {
            let reason = format!("{} is gone, or is not the folder it was", self.replica.root_path.display());
            return self.tell(Tell::Lost { reason });
        }
        if let Err(failure) = self.replica.scan(&|_| {}) {
            return self.tell(Tell::Lost { reason: failure.chain().join(": ") });
        }
        let digest = digest(self.replica.tree());
        let whole = digest != known;
        if whole {
            let mut changes = Vec::new();
            let nothing = super::tree::Node::folder();
            differences(&TreePath::root(), Some(&nothing), Some(self.replica.tree()), &mut changes);
            self.tell_changes(changes)?;
        }
        self.tell(Tell::Scanned { whole, digest })
    }

    fn rescan(&mut self) -> Told {
        if !self.replica.is_root_there() {
            return Ok(());
        }
        match self.replica.scan(&|_| {}) {
            Ok(changes) => self.tell_changes(changes),
            Err(failure) => self.tell(Tell::Lost { reason: failure.chain().join(": ") }),
        }
    }

    fn tell_changes(&mut self, changes: Vec<Change>) -> Told {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for change in changes {
            bytes += CHANGE_BYTES + change.path.as_bytes().len();
            if let Now::Leaf(super::tree::Leaf::Link(target)) = &change.now {
                bytes += target.0.len();
            }
            batch.push(change);
            if bytes > BATCH_BYTES {
                self.tell(Tell::Changes(std::mem::take(&mut batch)))?;
                bytes = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.tell(Tell::Changes(batch)) }
    }

    fn look_again(&mut self, paths: &[TreePath]) -> Told {
        let mut changes = Vec::new();
        for path in paths {
            // What cannot be read now is told when it is scanned.
            let _ = self.replica.refresh(path, true, &|_| {}, &mut changes);
        }
        self.tell_changes(changes)
    }

    fn read(&mut self, files: Vec<ReadFile>) -> Told {
        let mut contents = Vec::new();
        let mut stale = Vec::new();
        self.replica.near = None;
        for ReadFile { ticket, path, hash, size_bytes } in files {
            let length = u32::try_from(size_bytes).unwrap_or(0).saturating_add(1);
            let data = read_piece(&mut self.replica, &path, 0, length);
            let data = data.filter(|data| hash_of(&mut data.as_slice()).is_ok_and(|now| now == hash));
            if data.is_none() {
                stale.push(path);
            }
            contents.push((ticket, data.map(Blob)));
        }
        self.look_again(&stale)?;
        self.tell(Tell::Contents(contents))
    }

    fn obey(&mut self, orders: Vec<Order>) -> Told {
        let mut outcomes = Vec::with_capacity(orders.len());
        let mut odd = Vec::new();
        self.replica.near = None;
        self.dirty = true;
        for order in orders {
            let (ticket, path) = (order.ticket, order.path.clone());
            let staged = match order.body {
                Body::Staged => self.growing.remove(&ticket).and_then(|growing| self.replica.finish(&growing)),
                _ => None,
            };
            let outcome = self.replica.obey(order, staged);
            if matches!(outcome, Outcome::Refused | Outcome::Failed(_)) {
                odd.push(path);
            }
            outcomes.push((ticket, outcome));
        }
        self.replica.near = None;
        self.look_again(&odd)?;
        for note in std::mem::take(&mut self.replica.notes) {
            self.tell(Tell::Note(note))?;
        }
        self.tell(Tell::Outcomes(outcomes))
    }

    fn settle(&mut self, ticket: Ticket) -> Told {
        if std::mem::take(&mut self.dirty) {
            let settled = self.replica.root.sync_file_system().and_then(|()| self.replica.trash.close_batch());
            if let Err(error) = settled {
                self.tell(Tell::Note(format!("cannot settle {}: {error}", self.replica.root_path.display())))?;
            }
        }
        self.tell(Tell::Settled { ticket })
    }
}

/// Bytes of a file of the tree; shorter at its end, `None` when it cannot be read.
fn read_piece(replica: &mut Replica, path: &TreePath, offset: u64, length: u32) -> Option<Vec<u8>> {
    let (parent, name) = path.split()?;
    let mut file = replica.walk(&parent).ok()?.read(name).ok()?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset)).ok()?;
    }
    let length = length.min(LONGEST_PIECE_BYTES);
    let mut data = Vec::with_capacity(length as usize);
    file.take(u64::from(length)).read_to_end(&mut data).ok()?;
    Some(data)
}

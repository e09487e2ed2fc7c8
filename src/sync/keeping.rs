//! What a session keeps between runs: taken up at its start, written down when it is quiet.

use super::controller::Controller;
use super::life::LifeId;
use super::message::Ask;
use super::reconcile::{PerSide, Side};
use super::store::{Agreement, Record, load, save};
use super::tree::{Node, share};
use super::unsettled::Unsettled;
use crate::model::{Result, Trying};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_blocking};

/// The file with all that is kept but for what the journal has.
const BASE: &str = "base";
/// The same while it is being written beside other work.
const NEW_BASE: &str = "base.new";
/// A journal longer than this is folded into the base.
const LONG_JOURNAL_BYTES: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Saved {
    far_replica: Option<[u8; 16]>,
    root_inode: Option<u64>,
    /// Of this side and of the other.
    lives: [Option<LifeId>; 2],
    unsettled: [Vec<Agreement>; 2],
    base: Node,
    /// The trees of both sides; `None`: as the base.
    here: Option<Node>,
    there: Option<Node>,
}

/// A base that is being written: that takes as long as the disk likes, and edits do not wait for it.
pub struct Saving {
    pub task: JoinHandle<Result<()>>,
    /// As long was the journal when it began; `None`: something newer was written since.
    journal_bytes: Option<u64>,
}

impl Controller {
    /// Takes up what was kept, and what was agreed after that.
    pub(super) fn recall(&mut self, records: Vec<Record>) {
        if let Some(saved) = load::<Saved>(&self.start.state.join(BASE)) {
            self.far_replica = saved.far_replica;
            self.root_inode = saved.root_inode;
            let ([here, there], [own, other]) = (saved.lives, saved.unsettled);
            self.lives = PerSide { here, there };
            self.unsettled = Unsettled::restore(PerSide { here: own, there: other });
            self.base = saved.base;
            self.here.tree = saved.here.unwrap_or_else(|| self.base.clone());
            self.there.tree = saved.there.unwrap_or_else(|| self.base.clone());
        }
        for record in records {
            match record {
                Record::Agreed(path, leaf) => {
                    for tree in [&mut self.base, &mut self.here.tree, &mut self.there.tree] {
                        tree.set_leaf(&path, leaf.as_ref());
                    }
                    self.unsettled.add((path, leaf));
                }
                Record::Settled { here: true } => self.unsettled.clear(Side::Here),
                Record::Settled { here: false } => self.unsettled.clear(Side::There),
            }
        }
        self.share_trees();
        self.here.settled = self.unsettled.is_empty(Side::Here);
        self.there.settled = self.unsettled.is_empty(Side::There);
    }

    /// Makes what is equal in the three trees one in memory.
    pub(super) fn share_trees(&mut self) {
        self.unshared = 0;
        share(&mut self.base, &mut self.here.tree, &mut self.there.tree);
    }

    fn saved(&mut self) -> Saved {
        self.share_trees();
        Saved {
            far_replica: self.far_replica,
            root_inode: self.root_inode,
            lives: [self.lives.here, self.lives.there],
            unsettled: [Side::Here, Side::There].map(|side| self.unsettled.all(side)),
            base: self.base.clone(),
            here: (self.here.tree != self.base).then(|| self.here.tree.clone()),
            there: (self.there.tree != self.base).then(|| self.there.tree.clone()),
        }
    }

    /// Writes what both sides agreed on, at once.
    pub(super) fn save(&mut self) {
        if let Some(saving) = &mut self.saving {
            saving.journal_bytes = None;
        }
        let saved = self.saved();
        let kept = save(&self.start.state.join(BASE), &saved).and_then(|()| self.journal.clear());
        self.unsaved = kept.is_err();
        if let Err(failure) = kept {
            self.note(&failure.chain().join(": "));
        }
    }

    /// It is quiet: first both sides write to disk what they did, then what was agreed on is written.
    pub(super) fn settle(&mut self) {
        self.unsaved |= self.journal.length_bytes > LONG_JOURNAL_BYTES;
        let mut is_settled = true;
        for side in [Side::Here, Side::There] {
            if !std::mem::replace(&mut self.known(side).settled, true) {
                is_settled = false;
                let ticket = self.ticket();
                self.unsettled.ask(side, ticket);
                self.ask(side, Ask::Settle { ticket });
            }
        }
        // If it is unsaved, it will be quiet once more.
        if is_settled && self.unsaved && self.saving.is_none() {
            self.save_aside();
        }
    }

    /// Begins to write it beside other work.
    fn save_aside(&mut self) {
        self.unsaved = false;
        let (saved, path) = (self.saved(), self.start.state.join(NEW_BASE));
        let journal_bytes = Some(self.journal.length_bytes);
        self.saving = Some(Saving { task: spawn_blocking(move || save(&path, &saved)), journal_bytes });
    }

    /// It was written: it counts if nothing was agreed on meanwhile, else it is written anew when it is quiet.
    pub(super) fn saved_aside(&mut self, written: Result<()>) {
        let began_at = self.saving.take().and_then(|saving| saving.journal_bytes);
        let [new, base] = [NEW_BASE, BASE].map(|name| self.start.state.join(name));
        let kept = written.and_then(|()| {
            if began_at != Some(self.journal.length_bytes) {
                self.unsaved = true;
                return Ok(());
            }
            std::fs::rename(&new, &base).trying(|| format!("cannot replace {}", base.display()))?;
            self.journal.clear()
        });
        if let Err(failure) = kept {
            self.unsaved = true;
            self.note(&failure.chain().join(": "));
        }
    }
}

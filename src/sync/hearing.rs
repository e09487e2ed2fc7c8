//! What the replicas tell, taken in.

use super::controller::{Controller, Flight, LOOK_FOR_ROOT, Stalled};
use super::git::is_packed;
use super::message::{Ask, Outcome, Tell, Ticket};
use super::modes::UNKNOWN_MODE;
use super::path::TreePath;
use super::reconcile::Side;
use super::replica::digest;
use super::store::{Agreement, Record};
use super::tree::{Apart, Change, Hash, Leaf, Node, Now};
use std::time::Duration;
use tokio::time::Instant;

/// A step that was refused more often than this is no reason to wait for.
const MOST_REFUSALS: u32 = 8;
/// More changes than this at once are no edit that somebody waits for.
const MOST_RECENT: usize = 1000;

/// After so many agreements what is equal by now in the trees is made one: a first copy would have each file thrice.
const MOST_UNSHARED: usize = 4000;
/// A tree of more is not taken from the other side.
const MOST_ENTRIES: u64 = 5_000_000;

impl Controller {
    /// Asks a side for all of its tree, or whether it is as it is known.
    pub(super) fn scan(&mut self, side: Side) {
        let known = self.known(side);
        known.ready = false;
        known.incoming = Some(Node::folder());
        known.entries = 0;
        let known = self.digest(side);
        self.ask(side, Ask::Scan { known });
    }

    /// Of what is known of a side.
    pub(super) fn digest(&mut self, side: Side) -> Hash {
        let tree = self.known(side).tree.clone();
        match &self.digested {
            Some((known, digest)) if known.is_shared_with(&tree) => *digest,
            _ => {
                let digest = digest(&tree);
                self.digested = Some((tree, digest));
                digest
            }
        }
    }

    pub(super) fn hear(&mut self, side: Side, tell: Tell) {
        match tell {
            Tell::Changes(changes) => self.changes(side, changes),
            Tell::Scanned { whole, digest: told } => {
                let incoming = self.known(side).incoming.take();
                if whole {
                    self.known(side).tree = incoming.unwrap_or_else(Node::folder);
                } else if self.digest(side) != told {
                    // Something was done after the question, and undone before the answer.
                    return self.scan(side);
                }
                if self.known(side.other()).ready {
                    // What it is of changes from now on.
                    self.digested = None;
                }
                let known = self.known(side);
                known.ready = true;
                known.lost = None;
                // What it read anew it can write down when it is quiet.
                known.settled = false;
                self.replan = true;
            }
            Tell::Lost { reason } => {
                let known = self.known(side);
                known.ready = false;
                known.lost = Some(reason);
                self.look_at = Some(Instant::now() + LOOK_FOR_ROOT);
            }
            Tell::Reading { path, size_bytes } => self.cut_early(side, path, size_bytes),
            Tell::Contents(contents) => self.contents(side, contents),
            Tell::Piece { ticket, data } => self.piece(ticket, data),
            Tell::Outcomes(outcomes) => self.outcomes(outcomes),
            Tell::Begun { ticket, have } => self.begun(ticket, have),
            Tell::Written { ticket } => self.written(ticket),
            Tell::Chunks { ticket, chunks, last } => self.chunks(side, ticket, chunks, last),
            Tell::Barrier { ticket } => {
                for flush in &mut self.flushes {
                    flush.waiting.retain(|(_, asked)| *asked != Some(ticket));
                }
            }
            Tell::Settled { ticket } => {
                if self.unsettled.settled(side, ticket) {
                    self.write_down(&[Record::Settled { here: side == Side::Here }]);
                }
            }
            Tell::Undone { ticket, undone } => self.undone(ticket, undone),
            Tell::Note(note) => self.note(&note),
        }
    }

    fn changes(&mut self, side: Side, changes: Vec<Change>) {
        let live = self.known(side).incoming.is_none();
        let mut news = false;
        for mut change in changes {
            let is_folder = change.now == Now::Leaf(Leaf::Folder);
            // The far side may not name what this side keeps apart.
            if side == Side::There && change.now != Now::Gone && self.patterns.covers(&change.path, is_folder) {
                change.now = Now::Apart(Apart::Ignored);
            }
            let known = self.known(side);
            if known.rules.loses_modes
                && let Now::Leaf(Leaf::File(file)) = &mut change.now
            {
                file.mode = UNKNOWN_MODE;
            }
            let before = known.incoming.as_ref().unwrap_or(&known.tree).get(&change.path);
            if change.now.says(before) {
                continue;
            }
            news = true;
            if change.now != Now::Gone && before.is_none() {
                known.entries += 1;
            }
            match &mut known.incoming {
                Some(tree) => tree.take(&change),
                None => known.tree.take(&change),
            }
            if !self.stalled.is_empty() {
                self.stalled.remove(&(side.other(), change.path.clone()));
                self.stalled.remove(&(side, change.path.clone()));
            }
            if live && self.recent.len() < MOST_RECENT {
                self.recent.insert(change.path);
            }
        }
        let known = self.known(side);
        if known.entries > MOST_ENTRIES {
            let tree = known.incoming.as_ref().unwrap_or(&known.tree);
            known.entries = tree.count();
            if side == Side::There && known.entries > MOST_ENTRIES {
                // Whoever is over there, no tree of a project has so many: it must not fill this side's memory.
                return self.lose_link();
            }
        }
        if live && news {
            self.replan = true;
            self.changed_at.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn outcomes(&mut self, outcomes: Vec<(Ticket, Outcome)>) {
        let mut agreements: Vec<Agreement> = Vec::new();
        for (ticket, outcome) in outcomes {
            let Some(flight) = self.land(ticket) else { continue };
            let was_bulk = self.bulk.remove(&ticket).is_some();
            let Flight { to, step, alone, .. } = flight;
            if was_bulk && outcome == Outcome::NeedsContent {
                self.forget_chunks(&step);
            }
            match outcome {
                Outcome::Done | Outcome::Stays => {
                    if let Some(from) = &step.from {
                        self.renamed(to, from, &step.path, &mut agreements);
                        continue;
                    }
                    match (outcome, &step.new) {
                        (Outcome::Done, None) => self.known(to).tree.set(&step.path, None),
                        (_, None) => {}
                        (_, leaf) => self.known(to).tree.set_leaf(&step.path, leaf.as_ref()),
                    }
                    self.known(to).settled = false;
                    self.stalled.remove(&(to, step.path.clone()));
                    let is_loss = step.new.is_none() && !is_packed(&step.path, &self.known(to.other()).tree);
                    self.guard.add_deleted(u64::from(is_loss));
                    match alone {
                        true => self.replan = true,
                        false => agreements.push((step.path, step.new)),
                    }
                }
                Outcome::NeedsContent if alone => {}
                Outcome::NeedsContent if self.not_own.insert(step.path.clone()) => self.queue.put_first(to, step),
                // Sent whole it was not what it should be either: it changes, or the other side is not honest.
                Outcome::NeedsContent => self.stall(to, step.path, None),
                Outcome::Refused => self.stall(to, step.path, None),
                Outcome::Failed(reason) => self.stall(to, step.path, Some(reason)),
            }
        }
        self.agree(agreements);
    }

    /// A side writes a name in another way now: what both agreed on is under the new one.
    fn renamed(&mut self, side: Side, from: &TreePath, to: &TreePath, agreements: &mut Vec<Agreement>) {
        let known = self.known(side);
        let node = known.tree.get(from).cloned();
        known.tree.set(from, None);
        known.tree.set(to, node);
        known.settled = false;
        self.stalled.remove(&(side, to.clone()));
        if let Some(agreed) = self.base.get(from) {
            list(to, agreed, agreements);
        }
        agreements.push((from.clone(), None));
    }

    /// Leaves a path for a while.
    pub(super) fn stall(&mut self, to: Side, path: TreePath, reason: Option<String>) {
        let now = Instant::now();
        let first = Stalled { times: 0, until: now, reason: None };
        let stalled = self.stalled.entry((to, path)).or_insert(first);
        let wait = if reason.is_some() { 1000 } else { 10 };
        stalled.until = now + Duration::from_millis((wait << stalled.times.min(9)).min(30_000));
        stalled.times += 1;
        let endless = stalled.times > MOST_REFUSALS;
        stalled.reason = reason.or_else(|| endless.then(|| "it changes whenever it is about to be updated".to_owned()));
        self.replan = true;
    }

    /// Both sides have these now.
    pub(super) fn agree(&mut self, agreements: Vec<Agreement>) {
        if agreements.is_empty() {
            return;
        }
        for (path, leaf) in &agreements {
            self.base.set_leaf(path, leaf.as_ref());
        }
        for side in [Side::Here, Side::There] {
            // Whoever wrote it: what a person saved can be lost with the computer too.
            self.known(side).settled = false;
        }
        self.unshared += agreements.len();
        agreements.iter().cloned().for_each(|agreement| self.unsettled.add(agreement));
        let records: Vec<_> = agreements.into_iter().map(|(path, leaf)| Record::Agreed(path, leaf)).collect();
        self.write_down(&records);
        if self.unshared > MOST_UNSHARED {
            self.share_trees();
        }
    }

    fn write_down(&mut self, records: &[Record]) {
        if let Err(failure) = self.journal.add(records) {
            // Without it, the next start asks more questions than it would need to, and loses nothing.
            self.note(&failure.chain().join(": "));
        }
    }
}

/// All of a tree as agreements, folders before what is in them.
fn list(path: &TreePath, node: &Node, into: &mut Vec<Agreement>) {
    into.push((path.clone(), node.leaf()));
    for (name, child) in node.entries() {
        list(&path.join(name), child, into);
    }
}

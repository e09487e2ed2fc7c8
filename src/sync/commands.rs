//! What a person asks of a session.

use super::controller::{Command, Controller, Flight};
use super::issue::{content_of, order};
use super::message::{Ask, Body, Ticket};
use super::path::TreePath;
use super::reconcile::{Side, Step};
use super::tree::{Apart, Leaf, Node};
use super::unsettled::Unsettled;
use crate::model::sync::{MOST_LISTED, SyncChoice, SyncConflict, SyncSkipped, SyncState, SyncStatus};
use crate::model::{Failure, Result, Trying};
use crate::sys::fs::{remove_file_if_exists, write_atomically};
use ignore::gitignore::GitignoreBuilder;
use tokio::time::Instant;

/// The file that says that a session is paused.
pub(super) const PAUSED: &str = "paused";
/// Second names that are tried for a file.
const MOST_COPIES: usize = 1000;

impl Controller {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Flush(reply) => self.flush(reply),
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::Pause => self.pause(true),
            Command::Resume => {
                self.pause(false);
                // The wait was somebody's wish.
                self.changed_at = self.changed_at.map(|_| Instant::now());
                self.guard.accept();
                self.stalled.clear();
                self.replan = true;
            }
            Command::Reset => {
                self.forget_base();
                self.save();
            }
            Command::Resolve { choice, pattern, reply } => drop(reply.send(self.resolve(choice, &pattern))),
            Command::Undo(reply) => {
                let ticket = self.ticket();
                self.undoing.insert(ticket, reply);
                self.ask(Side::Here, Ask::Undo { ticket });
            }
            Command::Stop => {}
        }
    }

    /// A pause outlives the session.
    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        let kept = self.start.state.join(PAUSED);
        let done = if paused { write_atomically(&kept, b"") } else { remove_file_if_exists(&kept) };
        if let Err(failure) = done {
            self.note(&failure.chain().join(": "));
        }
    }

    pub(super) fn undone(&mut self, ticket: Ticket, undone: std::result::Result<u32, String>) {
        if let Some(reply) = self.undoing.remove(&ticket) {
            let what = || format!("cannot put back what sync replaced in {}", self.start.root.display());
            let _ = reply.send(undone.map(u64::from).trying(what));
        }
    }

    pub(super) fn forget_base(&mut self) {
        self.base = Node::folder();
        self.unsettled = Unsettled::default();
        self.replan = true;
        self.unsaved = true;
    }

    /// Makes the losing side the one that both agreed on, so that the next plan takes the other.
    fn resolve(&mut self, choice: SyncChoice, pattern: &str) -> Result<u64> {
        let mut builder = GitignoreBuilder::new("");
        let matcher = builder
            .add_line(None, pattern)
            .and_then(|builder| builder.build())
            .map_err(|error| Failure::because(format!("`{pattern}` is no pattern"), error))?;
        if choice == SyncChoice::Both && !self.there.ready {
            return Err(Failure::new("the other side's versions cannot be kept: it is not connected").hint("try again"));
        }
        let meant: Vec<TreePath> = std::mem::take(&mut self.conflicts)
            .into_iter()
            .filter(|path| {
                let is_folder = self.here.tree.get(path).is_some_and(Node::is_folder);
                matcher.matched_path_or_any_parents(path.as_path(), is_folder).is_ignore()
            })
            .collect();
        for path in &meant {
            if choice == SyncChoice::Both {
                self.keep_both(path);
            }
            let loser = if choice == SyncChoice::Theirs { &self.here } else { &self.there };
            let lost = loser.tree.get(path).cloned();
            self.base.set(path, lost);
        }
        self.replan = true;
        self.unsaved = true;
        Ok(meant.len() as u64)
    }

    /// Asks for the other side's file beside ours, under a second name; from there it goes over as a new file. What is
    /// no file stays in the trash over there.
    fn keep_both(&mut self, path: &TreePath) {
        let (Some(leaf @ Leaf::File(_)), Some((parent, name))) =
            (self.there.tree.get(path).and_then(Node::leaf), path.split())
        else {
            return;
        };
        let free = |copy: &TreePath| self.here.tree.get(copy).is_none() && self.there.tree.get(copy).is_none();
        let copies = (1..).map(|number| parent.join(&[name, b".theirs-", number.to_string().as_bytes()].concat()));
        if let Some(copy) = copies.take(MOST_COPIES).find(free) {
            // Their replica copies it from its own tree; seen there as new, it comes here.
            let ticket = self.ticket();
            let step = Step { path: copy, old: None, new: Some(leaf), from: None };
            let order = order(ticket, &step, Body::Own(path.clone()));
            self.fly(ticket, Flight { to: Side::There, step, bytes: 0, doing: true, alone: true });
            self.ask(Side::There, Ask::Do(vec![order]));
        }
    }

    pub(super) fn state(&self) -> SyncState {
        if let Some(reason) = self.guard.held() {
            return SyncState::Waiting { reason: reason.to_owned() };
        }
        if self.paused {
            return SyncState::Paused;
        }
        match (&self.here.lost, &self.there.lost) {
            (Some(reason), _) => return SyncState::Waiting { reason: reason.clone() },
            (None, Some(reason)) if self.link.is_some() => return SyncState::Waiting { reason: reason.clone() },
            _ => {}
        }
        match () {
            () if self.link.is_none() => SyncState::Connecting,
            () if !self.here.ready || !self.there.ready => SyncState::Scanning,
            () if self.is_idle() => SyncState::Watching,
            () => SyncState::Syncing,
        }
    }

    fn status(&self) -> SyncStatus {
        let shown = |tree: &Node, path: &TreePath| match tree.get(path).map(|node| (node, node.leaf())) {
            None => "nothing".to_owned(),
            Some((_, Some(Leaf::File(file)))) => format!("file, {} bytes", file.size_bytes),
            Some((_, Some(Leaf::Link(target)))) => format!("link to {}", String::from_utf8_lossy(&target.0)),
            Some((node, Some(Leaf::Folder))) => format!("folder, {} entries", node.count() - 1),
            Some((_, None)) => "something that stays apart".to_owned(),
        };
        let conflicts = self.conflicts.iter().take(MOST_LISTED).map(|path| SyncConflict {
            path: path.to_string(),
            here: shown(&self.here.tree, path),
            there: shown(&self.there.tree, path),
        });
        let mut skipped = Vec::new();
        skipped_in(&TreePath::root(), &self.here.tree, "on this side", &mut skipped);
        skipped_in(&TreePath::root(), &self.there.tree, "on the other side", &mut skipped);
        for ((_, path), stalled) in &self.stalled {
            let reason = stalled.reason.clone();
            skipped.extend(reason.map(|reason| SyncSkipped { path: path.to_string(), reason }));
        }
        skipped.extend(
            self.clashes
                .iter()
                .map(|(side, clash)| SyncSkipped { path: clash.path.to_string(), reason: clash.reason(*side) }),
        );
        skipped.sort_by(|one, two| one.path.cmp(&two.path));
        let queued = self.queue.steps().chain(self.large.iter().map(|(_, step)| step));
        let flying = self.flights.values().map(|flight| &flight.step);
        let mut notes = self.notes.clone();
        if self.link.is_none() {
            notes.extend(self.there.lost.clone());
        }
        notes.extend(self.what_flushes_wait_for());
        SyncStatus {
            state: self.state(),
            backlog: self.backlog(),
            backlog_bytes: queued.chain(flying).filter_map(content_of).map(|file| file.size_bytes).sum(),
            last_latency_ms: self.last_latency.map(|latency| latency.as_millis() as u64),
            entries: self.base.count() - 1,
            conflicts: conflicts.collect(),
            conflict_count: self.conflicts.len() as u64,
            skipped_count: skipped.len() as u64,
            skipped: skipped.into_iter().take(MOST_LISTED).collect(),
            notes,
        }
    }
}

fn skipped_in(path: &TreePath, node: &Node, side: &str, into: &mut Vec<SyncSkipped>) {
    for (name, child) in node.entries() {
        let path = path.join(name);
        let reason = match child {
            Node::Apart(Apart::Ignored) => continue,
            Node::Apart(why) => why.reason(),
            _ => {
                skipped_in(&path, child, side, into);
                continue;
            }
        };
        into.push(SyncSkipped { path: path.to_string(), reason: format!("{reason} {side}") });
    }
}

impl Apart {
    fn reason(self) -> &'static str {
        match self {
            Apart::Ignored => "ignored",
            Apart::Special => "a socket, device or pipe",
            Apart::Unreadable => "not readable",
            Apart::Mounted => "another file system is mounted",
            Apart::Busy => "changes faster than it can be read",
        }
    }
}

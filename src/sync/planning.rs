//! Turns what reconcile says into queues: what was edited last first, git's references after its objects, and what the
//! receiver has under another name not at all.

use super::controller::Controller;
use super::fitting::{fit, spare};
use super::git::{Phase, is_git_folder, is_packed, is_run_by_git, phase};
use super::issue::content_of;
use super::modes::adopt_modes;
use super::path::TreePath;
use super::queue::Queue;
use super::reconcile::{Plan, Side, Step, Way, reconcile};
use super::tree::{Leaf, Node};
use crate::model::sync::SyncDirection;
use std::collections::HashMap;
use tokio::time::Instant;

/// Shorter queues are done before anybody notices their order.
const SHORT_QUEUE: usize = 200;

impl Controller {
    /// Compares the trees and fills the queues.
    pub(super) fn plan(&mut self) {
        self.replan = false;
        self.stale = !self.flights.is_empty();
        for side in [Side::Here, Side::There] {
            let (own, other) =
                if side == Side::Here { (&mut self.here, &self.there) } else { (&mut self.there, &self.here) };
            if own.rules.loses_modes {
                adopt_modes(&mut own.tree, Some(&other.tree), Some(&self.base));
            }
        }
        let mode = self.start.mode;
        let there = &self.there.tree;
        let way = |path: &TreePath| {
            let odd_git = is_git_folder(path) && there.get(path).is_some_and(|node| !node.is_folder());
            match mode {
                SyncDirection::TwoWay if odd_git || is_run_by_git(path) => Way::NotBack,
                mode => Way::Session(mode),
            }
        };
        let mut plan = reconcile(&self.base, &self.here.tree, there, &way);
        let deferred = self.fit(&mut plan);
        self.conflicts = plan.conflicts;
        let deletions = |steps: &[Step], other: &Node| {
            steps.iter().filter(|step| step.new.is_none() && !is_packed(&step.path, other)).count() as u64
        };
        let deleted = deletions(&plan.here, &self.there.tree).max(deletions(&plan.there, &self.here.tree));
        if let Err(reason) = self.guard.judge(&self.base, &self.here.tree, &self.there.tree, deleted) {
            self.guard.hold(reason);
            self.replan = true;
            return;
        }
        self.agree(plan.agreed.into_iter().map(|step| (step.path, step.new)).collect());
        self.enqueue([(Side::Here, plan.here), (Side::There, plan.there)]);
        // What waits for a step that cannot be done waits with it.
        self.stale |= deferred && self.backlog() > 0;
        self.share_trees();
    }

    /// Makes a plan fit what each side's file system makes of names. Returns whether more can be done after it.
    fn fit(&mut self, plan: &mut Plan) -> bool {
        self.clashes.clear();
        let mut deferred = false;
        for side in [Side::Here, Side::There] {
            let (own, other) = if side == Side::Here { (&self.here, &self.there) } else { (&self.there, &self.here) };
            let (steps, theirs) =
                if side == Side::Here { (&mut plan.here, &mut plan.there) } else { (&mut plan.there, &mut plan.here) };
            let spared = spare(own.rules, &other.tree, &own.tree, theirs);
            let fitted = fit(own.rules, &self.base, &own.tree, std::mem::take(steps));
            *steps = fitted.steps;
            deferred |= fitted.deferred;
            self.clashes.extend(spared.into_iter().chain(fitted.clashes).map(|clash| (side, clash)));
        }
        deferred
    }

    fn enqueue(&mut self, sides: [(Side, Vec<Step>); 2]) {
        self.clear_queues();
        self.find_moved(&sides);
        let now = Instant::now();
        let mut stalled = std::mem::take(&mut self.stalled);
        let (mut references, mut leftovers) = (Queue::default(), Queue::default());
        for (side, mut steps) in sides {
            steps.retain(|step| {
                let key = (side, step.path.clone());
                // Those that no plan wants any more are forgotten.
                if let Some(entry) = stalled.remove(&key) {
                    self.again_at = self.again_at.into_iter().chain((entry.until > now).then_some(entry.until)).min();
                    self.stalled.insert(key.clone(), entry);
                }
                // A path may have two steps, a folder that goes and a file that comes: the second waits with the first,
                // or it would be refused again and again, and put off the first each time.
                !self.busy.contains_key(&key) && self.stalled.get(&key).is_none_or(|entry| entry.until <= now)
            });
            for (later, phase_of) in [(&mut references, Phase::References), (&mut leftovers, Phase::Leftovers)] {
                later.put(side, steps.extract_if(.., |step| phase(step) == phase_of).collect());
            }
            self.queue.put(side, steps);
        }
        self.later.extend([references, leftovers].into_iter().filter(|phase| !phase.is_empty()));
        if self.queue.len() > SHORT_QUEUE && !self.recent.is_empty() {
            let recent = &self.recent;
            let is_above = |path: &TreePath| recent.iter().any(|recent| recent.is_within(path));
            self.queue
                .prefer(|step| recent.contains(&step.path) || (step.new == Some(Leaf::Folder) && is_above(&step.path)));
        }
    }

    /// Remembers where content that goes under one name is wanted under another.
    fn find_moved(&mut self, sides: &[(Side, Vec<Step>)]) {
        self.moved.clear();
        let all = || sides.iter().flat_map(|(side, steps)| steps.iter().map(|step| (*side, step)));
        let gone: HashMap<_, _> = all()
            .filter_map(|(side, step)| match (&step.old, &step.new) {
                (Some(Leaf::File(file)), None) if file.size_bytes > 0 => Some(((side, file.hash), &step.path)),
                _ => None,
            })
            .collect();
        if gone.is_empty() {
            return;
        }
        for (side, step) in all() {
            if let Some(from) = content_of(step).and_then(|file| gone.get(&(side, file.hash))) {
                self.moved.insert((side, step.path.clone()), (*from).clone());
            }
        }
    }

    /// Where the receiver of a step has its content already.
    pub(super) fn own_copy(&self, to: Side, step: &Step) -> Option<TreePath> {
        let from = self.moved.get(&(to, step.path.clone()))?;
        (!self.not_own.contains(&step.path)).then(|| from.clone())
    }

    /// Begins what had to wait, when all before it is done.
    pub(super) fn next_phase(&mut self) {
        if self.queue.is_empty()
            && self.large.is_empty()
            && self.flights.is_empty()
            && !self.replan
            && let Some(next) = self.later.pop_front()
        {
            self.queue = next;
            self.issue();
        }
    }

    pub(super) fn clear_queues(&mut self) {
        self.queue = Queue::default();
        self.large.clear();
        self.later.clear();
    }
}

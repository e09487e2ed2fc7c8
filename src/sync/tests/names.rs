//! One side takes `a` and `A` for one name: nothing is lost, nothing is refused, and it comes to rest.

use crate::model::sync::SyncDirection;
use crate::sync::fitting::{Clash, fit, spare};
use crate::sync::names::Rules;
use crate::sync::path::TreePath;
use crate::sync::reconcile::{Side, Step, Way, reconcile};
use crate::sync::tree::{File, Leaf, Node, names};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

const FOLDING: Rules =
    Rules { folds_case: true, normalises: true, rewrites: false, only_utf8: true, loses_modes: false };
const PLAIN: Rules =
    Rules { folds_case: false, normalises: false, rewrites: false, only_utf8: false, loses_modes: false };

fn file(byte: u8) -> Leaf {
    Leaf::File(File { hash: [byte; 32], size_bytes: 1, mode: 0o644, modified_nanoseconds: 0 })
}

/// What somebody does to a tree.
#[derive(Debug, Clone)]
enum Deed {
    Write(String, u8),
    Delete(String),
    Rename(String, String),
}

fn any_path() -> impl Strategy<Value = String> {
    vec("[abAB]", 1..3).prop_map(|parts| parts.join("/"))
}

fn any_deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => (any_path(), any::<u8>()).prop_map(|(path, byte)| Deed::Write(path, byte)),
        1 => any_path().prop_map(Deed::Delete),
        2 => (any_path(), any_path()).prop_map(|(from, to)| Deed::Rename(from, to)),
    ];
    vec(deed, 0..6)
}

/// A side with a file system of its own.
#[derive(Debug, Clone)]
struct Disk {
    rules: Rules,
    tree: Node,
}

impl Disk {
    /// The path as the disk has it, where it has the name written in another way.
    fn real(&self, path: &TreePath) -> TreePath {
        let mut real = TreePath::root();
        for name in path.parts() {
            let stands = self.tree.get(&real).and_then(|folder| {
                let key = self.rules.key(name);
                folder.entries().iter().find(|(own, _)| self.rules.key(own) == key).map(|(own, _)| own.clone())
            });
            real = real.join(stands.as_deref().unwrap_or(name));
        }
        real
    }

    fn make(&mut self, path: &TreePath, node: Node) {
        let path = self.real(path);
        for above in 1..path.parts().count() {
            let above = path.parts().take(above).fold(TreePath::root(), |at, name| at.join(name));
            if !self.tree.get(&above).is_some_and(Node::is_folder) {
                self.tree.set(&above, Some(Node::folder()));
            }
        }
        self.tree.set(&path, Some(node));
    }

    fn live(&mut self, deeds: &[Deed]) {
        for deed in deeds {
            match deed {
                Deed::Write(path, byte) => self.make(&path.as_str().into(), Node::from(&file(*byte))),
                Deed::Delete(path) => self.tree.set(&self.real(&path.as_str().into()), None),
                Deed::Rename(from, to) => {
                    let (from, to) = (self.real(&from.as_str().into()), TreePath::from(to.as_str()));
                    let Some(node) = self.tree.get(&from).cloned() else { continue };
                    if !to.is_within(&from) || (to.parts().count() == from.parts().count()) {
                        self.tree.set(&from, None);
                        self.make(&to, node);
                    }
                }
            }
        }
    }

    /// Does a step as the file system would; `false` when it refuses.
    fn apply(&mut self, step: &Step) -> bool {
        if let Some(from) = &step.from {
            let node = self.tree.get(from).cloned();
            if node.is_none() || self.real(&step.path) != *from {
                return false;
            }
            self.tree.set(from, None);
            self.tree.set(&step.path, node);
            return true;
        }
        let stands = self.real(&step.path);
        if self.tree.get(&stands).is_some() && stands != step.path {
            return false;
        }
        let now = self.tree.get(&step.path);
        if now.and_then(Node::leaf) != step.old
            || step.new.is_none() && now.is_some_and(|now| !now.entries().is_empty())
        {
            return false;
        }
        let parent = step.path.split().map(|(parent, _)| parent);
        if !parent.is_some_and(|parent| self.tree.get(&parent).is_some_and(Node::is_folder)) {
            return false;
        }
        self.tree.set(&step.path, step.new.as_ref().map(Node::from));
        true
    }
}

#[derive(Debug)]
struct Round {
    conflicts: Vec<TreePath>,
    clashes: Vec<Clash>,
    steps: usize,
    refused: usize,
}

fn record(base: &mut Node, step: &Step) {
    if let Some(from) = &step.from {
        let node = base.get(from).cloned();
        base.set(from, None);
        return base.set(&step.path, node);
    }
    match &step.new {
        None => base.set(&step.path, None),
        Some(leaf) => base.set_leaf(&step.path, Some(leaf)),
    }
}

fn round(base: &mut Node, here: &mut Disk, there: &mut Disk) -> Round {
    let mut plan = reconcile(base, &here.tree, &there.tree, &|_| Way::Session(SyncDirection::TwoWay));
    let mut clashes = spare(here.rules, &there.tree, &here.tree, &mut plan.there);
    clashes.extend(spare(there.rules, &here.tree, &there.tree, &mut plan.here));
    let one = fit(here.rules, base, &here.tree, plan.here);
    let two = fit(there.rules, base, &there.tree, plan.there);
    let mut round = Round { conflicts: plan.conflicts, clashes, steps: plan.agreed.len(), refused: 0 };
    plan.agreed.iter().for_each(|step| record(base, step));
    for (disk, fitted) in [(here, one), (there, two)] {
        round.clashes.extend(fitted.clashes);
        for step in &fitted.steps {
            round.steps += 1;
            match disk.apply(step) {
                true => record(base, step),
                false => round.refused += 1,
            }
        }
    }
    round
}

/// Every content there is.
fn contents(node: &Node, into: &mut BTreeSet<u8>) {
    if let Node::File(file, _) = node {
        into.insert(file.hash[0]);
    }
    node.entries().iter().for_each(|(_, child)| contents(child, into));
}

fn all(node: &Node) -> BTreeSet<u8> {
    let mut all = BTreeSet::new();
    contents(node, &mut all);
    all
}

fn differing(path: &TreePath, one: Option<&Node>, two: Option<&Node>, into: &mut Vec<TreePath>) {
    if one.and_then(Node::leaf) != two.and_then(Node::leaf) {
        return into.push(path.clone());
    }
    for name in names([one, two, None]) {
        differing(&path.join(name), one.and_then(|n| n.child(name)), two.and_then(|n| n.child(name)), into);
    }
}

/// Lives through three sessions of edits on both sides, with rounds between.
fn sessions(folding: Side, deeds: &[(Vec<Deed>, Vec<Deed>)], crash: usize) -> Result<(), TestCaseError> {
    let mut here = Disk { rules: if folding == Side::Here { FOLDING } else { PLAIN }, tree: Node::folder() };
    let mut there = Disk { rules: if folding == Side::There { FOLDING } else { PLAIN }, tree: Node::folder() };
    let mut base = Node::folder();
    for (one, two) in deeds {
        let known = all(&base);
        here.live(one);
        there.live(two);
        let new: BTreeSet<u8> = all(&here.tree).union(&all(&there.tree)).copied().collect();
        let new: BTreeSet<u8> = new.difference(&known).copied().collect();
        let mut last = None;
        for _ in 0..12 {
            let done = round(&mut base, &mut here, &mut there);
            let quiet = done.steps == 0;
            last = Some(done);
            if quiet {
                break;
            }
        }
        let last = last.expect("rounds");
        prop_assert_eq!(last.steps, 0, "it does not come to rest: {:?}", last);
        let kept: BTreeSet<u8> = all(&here.tree).union(&all(&there.tree)).copied().collect();
        prop_assert!(new.is_subset(&kept), "lost {:?}", new.difference(&kept));
        let mut differ = Vec::new();
        differing(&TreePath::root(), Some(&here.tree), Some(&there.tree), &mut differ);
        for path in differ {
            let told = last.clashes.iter().map(|clash| &clash.path).chain(&last.conflicts);
            prop_assert!(told.into_iter().any(|told| path.is_within(told)), "{} is not told: {:?}", path, last);
        }
        if crash > 0 {
            // What was agreed is forgotten: that must not delete or merge anything either.
            base = Node::folder();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 20_000, ..Default::default() })]

    #[test]
    fn a_folding_side_loses_nothing_and_comes_to_rest(
        deeds in vec((any_deeds(), any_deeds()), 1..4), here: bool, crash in 0usize..4,
    ) {
        sessions(if here { Side::Here } else { Side::There }, &deeds, crash / 3)?;
    }
}

fn planned(base: &Node, here: &Disk, there: &Disk) -> (Vec<Step>, Vec<Clash>) {
    let plan = reconcile(base, &here.tree, &there.tree, &|_| Way::Session(SyncDirection::TwoWay));
    let fitted = fit(there.rules, base, &there.tree, plan.there);
    (fitted.steps, fitted.clashes)
}

fn disks(here: &[&str], there: &[&str]) -> (Disk, Disk) {
    let disk = |rules, paths: &[&str]| {
        let mut disk = Disk { rules, tree: Node::folder() };
        paths.iter().for_each(|path| disk.make(&(*path).into(), Node::from(&file(1))));
        disk
    };
    (disk(PLAIN, here), disk(FOLDING, there))
}

#[test]
fn a_name_that_changes_its_case_is_renamed_with_all_in_it() {
    let (here, there) = disks(&["src/x", "read"], &["Src/x", "Read"]);
    let base = there.tree.clone();
    let (steps, clashes) = planned(&base, &here, &there);
    let shown: Vec<_> = steps.iter().map(|step| (step.from.clone(), step.path.clone())).collect();
    assert_eq!(shown, [(Some("Read".into()), "read".into()), (Some("Src".into()), "src".into())]);
    assert!(clashes.is_empty());
}

#[test]
fn of_two_names_the_one_both_know_stays_and_the_other_is_told() {
    let (here, there) = disks(&["README", "readme", "new", "NEW"], &["readme"]);
    let (steps, clashes) = planned(&there.tree.clone(), &here, &there);
    let made: Vec<_> = steps.iter().map(|step| step.path.to_string()).collect();
    assert_eq!(made, ["NEW"]);
    let told: Vec<_> = clashes.iter().map(|clash| (clash.path.to_string(), clash.reason(Side::There))).collect();
    assert_eq!(told[0].0, "README");
    assert_eq!(told[0].1, "the other side takes its name for readme, which it has: rename one of the two");
    assert_eq!(told[1].0, "new");
}

#[test]
fn names_that_are_no_text_are_told() {
    let (mut here, there) = disks(&[], &[]);
    here.tree.set(&TreePath::root().join(b"\xff"), Some(Node::from(&file(1))));
    let (steps, clashes) = planned(&Node::folder(), &here, &there);
    assert!(steps.is_empty());
    assert_eq!(clashes[0].reason(Side::There), "the other side takes only names in UTF-8: rename it");
}

#[test]
fn a_folder_that_becomes_a_file_keeps_its_name_from_another() {
    let write = |path: &str, byte| Deed::Write(path.into(), byte);
    let deeds = [
        (vec![], vec![write("A", 0)]),
        (vec![Deed::Rename("A".into(), "a".into()), write("A/A", 0)], vec![write("A", 1)]),
        (vec![], vec![write("a", 0)]),
    ];
    sessions(Side::Here, &deeds, 0).unwrap();
}

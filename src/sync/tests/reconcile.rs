//! Any three trees: nothing vanishes, one round makes both sides equal, and neither a crash nor an edit in between
//! changes where it ends.

use crate::model::sync::SyncDirection;
use crate::sync::path::TreePath;
use crate::sync::reconcile::{Plan, Side, Step, Way, is_phantom, reconcile};
use crate::sync::tree::{Apart, File, Folder, Leaf, Node, Stamp};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn file(byte: u8, run: bool) -> Node {
    let mode = if run { 0o755 } else { 0o644 };
    Node::File(File { hash: [byte; 32], size_bytes: 1, mode, modified_nanoseconds: 0 }, Stamp::default())
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-c]"
}

fn folder_of(children: BTreeMap<String, Node>) -> Node {
    let entries = children.into_iter().map(|(name, node)| (name.as_bytes().into(), node)).collect();
    Node::Folder(Arc::new(Folder::of(entries)))
}

fn any_node(apart: bool) -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        6 => (0u8..3, any::<bool>()).prop_map(|(byte, run)| file(byte, run)),
        1 => (0u8..2).prop_map(|byte| Node::Link([byte].as_slice().into())),
        u32::from(apart) => Just(Node::Apart(Apart::Ignored)),
    ];
    leaf.prop_recursive(3, 14, 4, |inner| prop::collection::btree_map(any_name(), inner, 0..4).prop_map(folder_of))
}

fn any_root(apart: bool) -> impl Strategy<Value = Node> {
    prop::collection::btree_map(any_name(), any_node(apart), 0..4).prop_map(folder_of)
}

type Edit = (Vec<String>, Option<Node>);

fn any_edits(apart: bool) -> impl Strategy<Value = Vec<Edit>> {
    vec((vec(any_name(), 1..4), prop::option::of(any_node(apart))), 0..5)
}

fn edit(root: &mut Node, edits: &[Edit]) {
    for (parts, node) in edits {
        let path = TreePath::from(parts.join("/").as_str());
        for end in 1..parts.len() {
            let above = TreePath::from(parts[..end].join("/").as_str());
            if node.is_some() && root.get(&above).is_none() {
                root.set(&above, Some(Node::folder()));
            }
        }
        root.set(&path, node.clone());
    }
}

/// Every path with what is there, without what stays apart.
fn flat(root: &Node) -> BTreeMap<TreePath, Leaf> {
    fn walk(path: &TreePath, node: &Node, into: &mut BTreeMap<TreePath, Leaf>) {
        for (name, child) in node.entries() {
            if is_phantom(Some(child), None) {
                continue;
            }
            let path = path.join(name);
            if let Some(leaf) = child.leaf() {
                into.insert(path.clone(), leaf);
            }
            walk(&path, child, into);
        }
    }
    let mut all = BTreeMap::new();
    walk(&TreePath::root(), root, &mut all);
    all
}

fn without_apart(node: &Node) -> Node {
    match node {
        Node::Folder(folder) => {
            let kept = folder.entries().iter().filter(|(_, child)| !matches!(child, Node::Apart(_)));
            Node::Folder(Arc::new(Folder::of(kept.map(|(name, child)| (name.clone(), without_apart(child))).collect())))
        }
        other => other.clone(),
    }
}

fn aparts(path: &TreePath, node: &Node, into: &mut Vec<TreePath>) {
    if matches!(node, Node::Apart(_)) {
        into.push(path.clone());
    }
    node.entries().iter().for_each(|(name, child)| aparts(&path.join(name), child, into));
}

/// Does a step as the file system would, refusing it when something else is there than expected.
fn apply(root: &mut Node, step: &Step) -> bool {
    let Some((parent, _)) = step.path.split() else { return false };
    if !root.get(&parent).is_some_and(Node::is_folder) {
        return false;
    }
    let now = root.get(&step.path).cloned();
    if matches!(now, Some(Node::Apart(_))) {
        return false;
    }
    if now.as_ref().and_then(Node::leaf) != step.old {
        // A folder of nothing but what stays apart may stand where nothing was expected.
        return step.old.is_none() && step.new == Some(Leaf::Folder) && now.is_some_and(|node| node.is_folder());
    }
    let filled = now.as_ref().is_some_and(|node| !node.entries().is_empty());
    match &step.new {
        None if filled => return now.is_some_and(|node| is_phantom(Some(&node), None)),
        Some(Leaf::File(_) | Leaf::Link(_)) if now.as_ref().is_some_and(Node::is_folder) => return false,
        new => root.set(&step.path, new.as_ref().map(Node::from)),
    }
    true
}

/// Both sides have the step's outcome.
fn record(base: &mut Node, step: &Step) {
    match &step.new {
        None => base.set(&step.path, None),
        Some(leaf) => base.set_leaf(&step.path, Some(leaf)),
    }
}

fn both(_: &TreePath) -> Way {
    Way::Session(SyncDirection::TwoWay)
}

fn round(base: &mut Node, here: &mut Node, there: &mut Node) -> Plan {
    let plan = reconcile(base, here, there, &both);
    plan.agreed.iter().for_each(|step| record(base, step));
    for (tree, steps) in [(here, &plan.here), (there, &plan.there)] {
        for step in steps {
            if apply(tree, step) {
                record(base, step);
            }
        }
    }
    plan
}

fn in_conflict(path: &TreePath, conflicts: &[TreePath]) -> bool {
    conflicts.iter().any(|conflict| path.is_within(conflict) || conflict.is_within(path))
}

fn kept(before: &BTreeMap<TreePath, Leaf>, base: &BTreeMap<TreePath, Leaf>, after: &Node) -> Option<TreePath> {
    let after = flat(after);
    let own = before.iter().filter(|(path, leaf)| **leaf != Leaf::Folder && base.get(path) != Some(leaf));
    own.filter(|(path, leaf)| after.get(path) != Some(leaf)).map(|(path, _)| path.clone()).next()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 20_000, ..Default::default() })]

    #[test]
    fn one_round_makes_all_three_equal(base in any_root(false), one in any_edits(false), two in any_edits(false)) {
        let (mut here, mut there, mut base) = (base.clone(), base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let plan = round(&mut base, &mut here, &mut there);
        let (here, there, base) = (flat(&here), flat(&there), flat(&base));
        for path in here.keys().chain(there.keys()).chain(base.keys()) {
            if !in_conflict(path, &plan.conflicts) {
                prop_assert_eq!(here.get(path), there.get(path), "{} {:?}", path, plan);
                prop_assert_eq!(here.get(path), base.get(path), "base {} {:?}", path, plan);
            }
        }
    }

    #[test]
    fn what_is_new_on_a_side_stays_there(base in any_root(true), one in any_edits(true), two in any_edits(true)) {
        let known = without_apart(&base);
        let (mut here, mut there, mut agreed) = (base.clone(), base, known.clone());
        edit(&mut here, &one);
        edit(&mut there, &two);
        let (was_here, was_there, known) = (flat(&here), flat(&there), flat(&known));
        let plan = round(&mut agreed, &mut here, &mut there);
        prop_assert_eq!(kept(&was_here, &known, &here), None, "{:?}", plan);
        prop_assert_eq!(kept(&was_there, &known, &there), None, "{:?}", plan);
    }

    #[test]
    fn what_stays_apart_is_not_touched(base in any_root(true), one in any_edits(true), two in any_edits(true)) {
        let mut agreed = without_apart(&base);
        let (mut here, mut there) = (base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let all = |node: &Node| { let mut all = Vec::new(); aparts(&TreePath::root(), node, &mut all); all };
        let before = (all(&here), all(&there));
        round(&mut agreed, &mut here, &mut there);
        prop_assert_eq!(before, (all(&here), all(&there)));
    }

    #[test]
    fn what_was_deleted_does_not_come_back(base in any_root(false), one in any_edits(false), two in any_edits(false)) {
        let (mut here, mut there, mut agreed) = (base.clone(), base.clone(), base.clone());
        edit(&mut here, &one);
        edit(&mut there, &two);
        let (known, was_here, was_there) = (flat(&base), flat(&here), flat(&there));
        let plan = round(&mut agreed, &mut here, &mut there);
        let (here, there) = (flat(&here), flat(&there));
        for (path, leaf) in &known {
            let (own, other) = (was_here.get(path), was_there.get(path));
            let deleted = own.is_none() && (other.is_none() || other == Some(leaf)) || other.is_none() && own == Some(leaf);
            if *leaf != Leaf::Folder && deleted && !in_conflict(path, &plan.conflicts) {
                prop_assert!(!here.contains_key(path) && !there.contains_key(path), "{} came back {:?}", path, plan);
            }
        }
    }

    #[test]
    fn a_second_round_has_nothing_to_do(base in any_root(true), one in any_edits(true), two in any_edits(true)) {
        let mut agreed = without_apart(&base);
        let (mut here, mut there) = (base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let first = round(&mut agreed, &mut here, &mut there);
        let second = reconcile(&agreed, &here, &there, &both);
        let expected = Plan { conflicts: first.conflicts.clone(), ..Plan::default() };
        prop_assert_eq!(second, expected, "first {:?}", first);
    }

    #[test]
    fn the_sides_are_treated_alike(base in any_root(true), one in any_edits(true), two in any_edits(true)) {
        let agreed = without_apart(&base);
        let (mut here, mut there) = (base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let (plan, turned) = (reconcile(&agreed, &here, &there, &both), reconcile(&agreed, &there, &here, &both));
        prop_assert_eq!(plan.here, turned.there);
        prop_assert_eq!(plan.there, turned.here);
        prop_assert_eq!(plan.conflicts, turned.conflicts);
    }

    #[test]
    fn a_crash_changes_nothing(
        base in any_root(false), one in any_edits(false), two in any_edits(false),
        done_here in 0usize..40, done_there in 0usize..40, recorded in 0usize..80, keeps in 0..3,
    ) {
        let (mut here, mut there, mut agreed) = (base.clone(), base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let (mut smooth_here, mut smooth_there, mut smooth) = (here.clone(), there.clone(), agreed.clone());
        let plan = round(&mut smooth, &mut smooth_here, &mut smooth_there);
        let mut done = Vec::new();
        done.extend(plan.here.iter().take(done_here).filter(|step| apply(&mut here, step)));
        done.extend(plan.there.iter().take(done_there).filter(|step| apply(&mut there, step)));
        if keeps > 0 {
            plan.agreed.iter().for_each(|step| record(&mut agreed, step));
        }
        if keeps == 2 {
            done.iter().take(recorded).for_each(|step| record(&mut agreed, step));
        }
        let mut last = Plan::default();
        for _ in 0..3 {
            last = round(&mut agreed, &mut here, &mut there);
        }
        prop_assert_eq!(flat(&here), flat(&smooth_here), "{:?} then {:?}", plan, last);
        prop_assert_eq!(flat(&there), flat(&smooth_there));
        prop_assert_eq!(last.conflicts, plan.conflicts);
    }

    #[test]
    fn edits_while_a_round_runs_are_kept(
        base in any_root(false), one in any_edits(false), two in any_edits(false),
        late_here in any_edits(false), late_there in any_edits(false),
    ) {
        let (mut here, mut there, mut agreed) = (base.clone(), base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let plan = reconcile(&agreed, &here, &there, &both);
        edit(&mut here, &late_here);
        edit(&mut there, &late_there);
        let (was_here, was_there, known) = (flat(&here), flat(&there), flat(&agreed));
        plan.agreed.iter().for_each(|step| record(&mut agreed, step));
        for (side, steps) in [(Side::Here, &plan.here), (Side::There, &plan.there)] {
            let tree = if side == Side::Here { &mut here } else { &mut there };
            steps.iter().filter(|step| apply(tree, step)).for_each(|step| record(&mut agreed, step));
        }
        prop_assert_eq!(kept(&was_here, &known, &here), None, "{:?}", plan);
        prop_assert_eq!(kept(&was_there, &known, &there), None, "{:?}", plan);
        let mut last = Plan::default();
        for _ in 0..4 {
            last = round(&mut agreed, &mut here, &mut there);
        }
        let (here, there) = (flat(&here), flat(&there));
        for path in here.keys().chain(there.keys()) {
            prop_assert!(in_conflict(path, &last.conflicts) || here.get(path) == there.get(path), "{}", path);
        }
    }

    #[test]
    fn one_way_never_writes_here(base in any_root(true), one in any_edits(true), two in any_edits(true), mirror: bool) {
        let mut agreed = without_apart(&base);
        let (mut here, mut there) = (base.clone(), base);
        edit(&mut here, &one);
        edit(&mut there, &two);
        let direction = if mirror { SyncDirection::Mirror } else { SyncDirection::OneWay };
        for _ in 0..2 {
            let plan = reconcile(&agreed, &here, &there, &|_| Way::Session(direction));
            prop_assert!(plan.here.is_empty());
            plan.agreed.iter().for_each(|step| record(&mut agreed, step));
            plan.there.iter().filter(|step| apply(&mut there, step)).for_each(|step| record(&mut agreed, step));
        }
        let last = reconcile(&agreed, &here, &there, &|_| Way::Session(direction));
        prop_assert!(last.there.is_empty() && last.agreed.is_empty(), "{:?}", last);
        let (here_flat, there_flat) = (flat(&here), flat(&there));
        let mut apart = Vec::new();
        aparts(&TreePath::root(), &here, &mut apart);
        aparts(&TreePath::root(), &there, &mut apart);
        for (path, leaf) in &here_flat {
            let free = !in_conflict(path, &last.conflicts) && !in_conflict(path, &apart);
            prop_assert!(!free || there_flat.get(path) == Some(leaf), "{} is not there", path);
        }
        for path in there_flat.keys().filter(|_| mirror) {
            let free = !in_conflict(path, &last.conflicts) && !in_conflict(path, &apart);
            prop_assert!(!free || here_flat.contains_key(path), "{} is left there", path);
        }
    }
}

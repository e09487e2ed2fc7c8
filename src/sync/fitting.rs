//! Makes what is planned for a side fit what its file system makes of names. Pure.
//!
//! A side that takes `A` and `a` for one can hold one of them: the one it has, else the one that both sides knew, else
//! the first. The others stay where they are and are reported. A name that changes in nothing but its case, or in how
//! its accents are written, is renamed.

use super::names::Rules;
use super::path::TreePath;
use super::reconcile::{Side, Step};
use super::tree::{Name, Node};
use std::collections::{HashMap, HashSet};

/// A path that a side cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    pub path: TreePath,
    pub why: Why,
}

/// Why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It takes the name for this one, which it has or will have.
    SameAs(Name),
    /// It does not take such names.
    Refused(&'static str),
}

impl Clash {
    /// What a person is told: `side` is the one that cannot have it.
    pub fn reason(&self, side: Side) -> String {
        let place = if side == Side::Here { "this side" } else { "the other side" };
        match &self.why {
            Why::SameAs(name) => format!(
                "{place} takes its name for {}, which it has: rename one of the two",
                String::from_utf8_lossy(name)
            ),
            Why::Refused(why) => format!("{place} {why}: rename it"),
        }
    }
}

/// What is left to do on a side.
#[derive(Debug, Default)]
pub struct Fitted {
    pub steps: Vec<Step>,
    pub clashes: Vec<Clash>,
    /// More can be done when these are.
    pub deferred: bool,
}

/// Fits `steps` of a side whose tree is `tree`; `base` is what both sides agreed on.
pub fn fit(rules: Rules, base: &Node, tree: &Node, steps: Vec<Step>) -> Fitted {
    if !rules.folds() && !rules.only_utf8 && !rules.rewrites {
        return Fitted { steps, ..Fitted::default() };
    }
    let mut fitted = Fitted::default();
    let mut names = Names { rules, tree, standing: HashMap::new() };
    let gone: HashSet<&TreePath> = steps.iter().filter(|step| step.new.is_none()).map(|step| &step.path).collect();
    let made = || steps.iter().filter(|step| step.old.is_none() && step.new.is_some());
    let mut claims: HashMap<(TreePath, Vec<u8>), &TreePath> = HashMap::new();
    // Of several new names, one that stands there and becomes another sort comes first, then one that both sides knew.
    let rank = |step: &Step| match (tree.get(&step.path), base.get(&step.path)) {
        (Some(_), _) => 0,
        (None, Some(_)) => 1,
        (None, None) => 2,
    };
    for wanted in 0..3 {
        for step in made().filter(|step| rank(step) == wanted) {
            if let Some((parent, name)) = step.path.split() {
                claims.entry((parent, rules.key(name))).or_insert(&step.path);
            }
        }
    }
    // At and below these nothing is done now.
    let mut out: HashSet<TreePath> = HashSet::new();
    for step in made() {
        let Some((parent, name)) = step.path.split() else { continue };
        if is_covered(&out, &step.path) {
            continue;
        }
        let why = if let Some(refusal) = rules.refusal(name) {
            Why::Refused(refusal)
        } else {
            let winner = claims.get(&(parent.clone(), rules.key(name))).filter(|winner| ***winner != step.path);
            match (names.other(&parent, name), winner) {
                (None, None) => continue,
                (Some(other), None) if gone.contains(&parent.join(&other)) => {
                    let from = parent.join(&other);
                    fitted.deferred = true;
                    let standing = tree.get(&from).filter(|node| node.is_folder() == step.is_folder());
                    if let Some(leaf) = standing.and_then(Node::leaf) {
                        let (path, from) = (step.path.clone(), Some(from.clone()));
                        fitted.steps.push(Step { path, old: None, new: Some(leaf), from });
                        out.extend([parent.join(&other)]);
                    }
                    out.insert(step.path.clone());
                    continue;
                }
                (Some(other), _) => Why::SameAs(other),
                (None, Some(winner)) => Why::SameAs(winner.split().map_or(name, |(_, name)| name).into()),
            }
        };
        out.insert(step.path.clone());
        fitted.clashes.push(Clash { path: step.path.clone(), why });
    }
    fitted.steps.extend(steps.into_iter().filter(|step| !is_covered(&out, &step.path)));
    fitted
}

/// Keeps `steps` from deleting on a side what the folding `other` side cannot show beside a name that it does show.
pub fn spare(rules: Rules, tree: &Node, other: &Node, steps: &mut Vec<Step>) -> Vec<Clash> {
    if !rules.folds() || steps.iter().all(|step| step.new.is_some()) {
        return Vec::new();
    }
    let mut names = Names { rules, tree: other, standing: HashMap::new() };
    let mut clashes: Vec<Clash> = Vec::new();
    steps.retain(|step| {
        if step.new.is_some() {
            return true;
        }
        for path in above_and_at(&step.path) {
            let Some((parent, name)) = path.split() else { continue };
            if let Some(shown) = names.other(&parent, name)
                && tree.get(&parent.join(&shown)).is_some()
            {
                if clashes.last().is_none_or(|last| last.path != path) {
                    clashes.push(Clash { path, why: Why::SameAs(shown) });
                }
                return false;
            }
        }
        true
    });
    clashes
}

/// Names that stand in the folders of a tree, by key.
struct Names<'a> {
    rules: Rules,
    tree: &'a Node,
    standing: HashMap<TreePath, HashMap<Vec<u8>, Name>>,
}

impl Names<'_> {
    /// What stands in `parent` under another name that is the same to the file system; `None` if `name` itself does.
    fn other(&mut self, parent: &TreePath, name: &[u8]) -> Option<Name> {
        let Names { rules, tree, standing } = self;
        let entries = tree.get(parent).map(Node::entries).unwrap_or_default();
        let standing = standing
            .entry(parent.clone())
            .or_insert_with(|| entries.iter().map(|(name, _)| (rules.key(name), name.clone())).collect());
        let found = standing.get(&rules.key(name))?;
        (**found != *name && tree.get(&parent.join(name)).is_none()).then(|| found.clone())
    }
}

fn is_covered(out: &HashSet<TreePath>, path: &TreePath) -> bool {
    !out.is_empty() && above_and_at(path).any(|path| out.contains(&path))
}

/// A path and all it is in, the root aside, from itself upwards.
fn above_and_at(path: &TreePath) -> impl Iterator<Item = TreePath> {
    let first = (!path.is_root()).then(|| path.clone());
    std::iter::successors(first, |path| path.split().map(|(parent, _)| parent).filter(|parent| !parent.is_root()))
}

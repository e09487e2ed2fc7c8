//! `depends_on`: an order must exist.

use super::place::Placed;
use super::problem::{Problem, Problems};
use crate::model::BoxName;
use std::collections::{BTreeMap, BTreeSet};

/// What each box depends on, as written.
pub type Wanted<'a> = BTreeMap<BoxName, &'a [Placed<String>]>;

/// The boxes each box depends on. Unknown boxes, a box that waits for itself, and circles are problems.
pub fn resolve_depends(wanted: &Wanted<'_>, problems: &mut Problems) -> BTreeMap<BoxName, Vec<BoxName>> {
    let mut resolved: BTreeMap<BoxName, Vec<BoxName>> = BTreeMap::new();
    for (owner, written) in wanted {
        let known: Vec<BoxName> = written.iter().filter_map(|name| one(owner, name, wanted, problems)).collect();
        resolved.insert(owner.clone(), known);
    }
    for circle in circles(&resolved) {
        let path: Vec<&str> = circle.iter().map(BoxName::as_str).collect();
        let written = wanted[&circle[0]].iter().find(|name| name.value() == path[1]);
        let what = format!("boxes wait for each other: {}", path.join(" -> "));
        problems.add(match written {
            Some(name) => Problem::at(name.span(), what).help("take one of these out of `depends_on`"),
            None => Problem::of_file(what),
        });
    }
    resolved
}

fn one(owner: &BoxName, name: &Placed<String>, wanted: &Wanted<'_>, problems: &mut Problems) -> Option<BoxName> {
    if name.value() == owner.as_str() {
        problems.add(Problem::at(name.span(), format!("the box `{owner}` depends on itself")));
        return None;
    }
    let known = wanted.keys().find(|other| other.as_str() == name.value());
    if known.is_none() {
        let others = wanted.keys().filter(|other| *other != owner).map(BoxName::as_str);
        let problem = Problem::at(name.span(), format!("there is no box `{}`", name.value()));
        problems.add(problem.suggest(name.value(), others, "boxes of this project"));
    }
    known.cloned()
}

/// Each circle once, as a path that ends where it began.
fn circles(edges: &BTreeMap<BoxName, Vec<BoxName>>) -> Vec<Vec<BoxName>> {
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        walk(start, edges, &mut Vec::new(), &mut done, &mut found);
    }
    found
}

fn walk(
    at: &BoxName,
    edges: &BTreeMap<BoxName, Vec<BoxName>>,
    path: &mut Vec<BoxName>,
    done: &mut BTreeSet<BoxName>,
    found: &mut Vec<Vec<BoxName>>,
) {
    if let Some(begin) = path.iter().position(|earlier| earlier == at) {
        found.push(path[begin..].iter().chain([at]).cloned().collect());
        return;
    }
    if done.contains(at) {
        return;
    }
    path.push(at.clone());
    for next in edges.get(at).into_iter().flatten() {
        walk(next, edges, path, done, found);
    }
    path.pop();
    done.insert(at.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once_with_their_path() {
        let name = |text: &str| BoxName::new(text).expect("valid");
        let edges = |pairs: &[(&str, &[&str])]| -> BTreeMap<BoxName, Vec<BoxName>> {
            pairs.iter().map(|(from, to)| (name(from), to.iter().map(|to| name(to)).collect())).collect()
        };
        assert!(circles(&edges(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])).is_empty());
        let found = circles(&edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["d"])]));
        let told: Vec<String> =
            found.iter().map(|circle| circle.iter().map(BoxName::as_str).collect::<Vec<_>>().join(">")).collect();
        assert_eq!(told, ["b>c>b", "d>d"]);
    }
}

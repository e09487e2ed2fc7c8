//! What is not told before some large files have been read: what refers to them, and what went when they came.

use super::git::{is_inside, is_temporary};
use super::path::TreePath;
use super::tree::{Change, Now};
use std::collections::BTreeSet;

/// Changes that wait, in order.
#[derive(Debug, Default)]
pub struct Withheld {
    changes: Vec<Change>,
    paths: BTreeSet<TreePath>,
    /// The files that they wait for.
    until: BTreeSet<TreePath>,
}

impl Withheld {
    /// Returns what may be told. `found`: large files that are new in the same batch: one of them may be what went under
    /// another name, which need not travel if both are told at once. `unread`: all that are to be read. What git writes
    /// after its packs refers to them.
    pub fn sift<'a>(
        &mut self,
        changes: Vec<Change>,
        found: &[TreePath],
        unread: impl Iterator<Item = &'a TreePath>,
    ) -> Vec<Change> {
        let in_git: Vec<&TreePath> = unread.filter(|path| is_inside(path) && !is_temporary(path)).collect();
        let mut told = Vec::new();
        for change in changes {
            let went = change.now == Now::Gone && !found.is_empty();
            let refers = !in_git.is_empty() && is_inside(&change.path);
            if !went && !refers && !self.depends(&change.path) {
                told.push(change);
                continue;
            }
            if went {
                self.until.extend(found.iter().cloned());
            }
            if refers {
                self.until.extend(in_git.iter().map(|path| (*path).clone()));
            }
            self.paths.insert(change.path.clone());
            self.changes.push(change);
        }
        told
    }

    /// Whether something above, at or below it waits: what is told of a path is told in order.
    fn depends(&self, path: &TreePath) -> bool {
        let below = self.paths.range(path..).next().is_some_and(|next| next.is_within(path));
        let parent = |path: &TreePath| path.split().map(|(parent, _)| parent);
        let above = || std::iter::successors(parent(path), parent).any(|above| self.paths.contains(&above));
        below || (!self.paths.is_empty() && above())
    }

    /// A file was read, or will not be for a while: these are the changes of that. Returns what nothing holds back any
    /// more, at once: whoever hears of one name without the other has the content sent.
    pub fn looked_at(&mut self, path: &TreePath, changes: Vec<Change>) -> Vec<Change> {
        if self.until.remove(path) || changes.iter().any(|change| self.depends(&change.path)) {
            self.paths.extend(changes.iter().map(|change| change.path.clone()));
            self.changes.extend(changes);
        } else {
            return changes;
        }
        if !self.until.is_empty() {
            return Vec::new();
        }
        self.paths.clear();
        std::mem::take(&mut self.changes)
    }

    /// Returns everything, if anything above, at or below `path` waits: what is going to be done there must not be
    /// followed by what was the case before.
    pub fn give_way<'a>(&mut self, mut paths: impl Iterator<Item = &'a TreePath>) -> Vec<Change> {
        match paths.any(|path| self.depends(path)) {
            true => std::mem::take(self).changes,
            false => Vec::new(),
        }
    }

    /// All of the tree is told anew.
    pub fn clear(&mut self) {
        *self = Withheld::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tree::Leaf;

    fn changes(list: &[(&str, bool)]) -> Vec<Change> {
        let now = |gone: bool| if gone { Now::Gone } else { Now::Leaf(Leaf::Folder) };
        list.iter().map(|(path, gone)| Change { path: (*path).into(), now: now(*gone) }).collect()
    }

    #[test]
    fn what_may_have_been_renamed_goes_when_the_new_name_comes_and_all_in_order() {
        let mut withheld = Withheld::default();
        let new = [TreePath::from("new")];
        let told = withheld.sift(changes(&[("a", true), ("b", false)]), &new, new.iter());
        assert_eq!(told, changes(&[("b", false)]));
        // Nothing that has to do with `a` overtakes it.
        let told =
            withheld.sift(changes(&[("a", false), ("a/x", false), ("a-b", false), ("c", true)]), &[], new.iter());
        assert_eq!(told, changes(&[("a-b", false), ("c", true)]));
        assert_eq!(withheld.looked_at(&"other".into(), changes(&[("o", false)])), changes(&[("o", false)]));
        assert_eq!(withheld.looked_at(&"other".into(), changes(&[("a/y", false)])), []);
        let all = [("a", true), ("a", false), ("a/x", false), ("a/y", false), ("new", false)];
        assert_eq!(withheld.looked_at(&"new".into(), changes(&[("new", false)])), changes(&all));
    }

    #[test]
    fn what_waits_gives_way_to_what_is_done_there() {
        let mut withheld = Withheld::default();
        let new = [TreePath::from("new")];
        let all = changes(&[("a/b", true), ("c", true)]);
        assert_eq!(withheld.sift(all.clone(), &new, new.iter()), []);
        let give_way = |withheld: &mut Withheld, path: &str| withheld.give_way([TreePath::from(path)].iter());
        assert_eq!(give_way(&mut withheld, "a-b"), []);
        for path in ["a", "a/b", "a/b/x"] {
            let mut withheld = Withheld::default();
            withheld.sift(all.clone(), &new, new.iter());
            assert_eq!(give_way(&mut withheld, path), all);
            assert_eq!(withheld.looked_at(&new[0], changes(&[("new", false)])), changes(&[("new", false)]));
        }
    }

    #[test]
    fn what_git_refers_to_is_told_first() {
        let mut withheld = Withheld::default();
        let unread = [TreePath::from("s/.git/objects/pack/pack-1.pack")];
        let all = changes(&[("s/.git/packed-refs", false), ("s/x", false)]);
        assert_eq!(withheld.sift(all.clone(), &[], unread.iter()), changes(&[("s/x", false)]));
        assert_eq!(withheld.looked_at(&unread[0], Vec::new()), changes(&[("s/.git/packed-refs", false)]));
        // Of what is being received nobody knows yet.
        let unread = [TreePath::from("s/.git/objects/pack/tmp_pack_1")];
        assert_eq!(withheld.sift(all.clone(), &[], unread.iter()), all);
    }
}

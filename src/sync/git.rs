//! What is special about git's own folder: in which order its parts have to arrive, and what git runs.

use super::path::TreePath;
use super::reconcile::Step;
use super::tree::Node;

const FOLDER: &str = ".git";

/// What of a plan has to be there before the next is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Files of the user, and git's objects: nothing refers to them yet.
    First,
    /// What refers to objects: index, branches, HEAD.
    References,
    /// Objects that nothing refers to any more.
    Leftovers,
}

/// When a step may be done.
pub fn phase(step: &Step) -> Phase {
    let mut parts = step.path.parts().skip_while(|part| !is_git(part)).skip(1);
    let objects = parts.any(|part| part == b"objects");
    let inside = step.path.parts().any(is_git) && step.path.split().is_some_and(|(_, name)| !is_git(name));
    match (inside, objects, &step.new) {
        (true, false, _) => Phase::References,
        (true, true, None) => Phase::Leftovers,
        _ => Phase::First,
    }
}

/// Whether git runs programs that stand at this path, or are named in it: those of the other side are not let in.
pub fn is_run_by_git(path: &TreePath) -> bool {
    let mut inner = path.parts().skip_while(|part| !is_git(part)).skip(1).peekable();
    // Names of branches and of objects are anybody's choice.
    if inner.peek().is_some_and(|first| [&b"refs"[..], b"logs", b"objects"].contains(first)) {
        return false;
    }
    inner.any(|part| ["hooks", "config", "config.worktree"].iter().any(|run| is_alike(part, run)))
}

/// Whether a path that went from `tree` is one of git's objects, or a folder of some, that were put into a pack: `git gc`
/// deletes thousands of them, and loses nothing.
pub fn is_packed(path: &TreePath, tree: &Node) -> bool {
    let mut objects = TreePath::root();
    let mut parts = path.parts();
    while let Some(part) = parts.next() {
        let in_git = objects.parts().any(is_git);
        objects = objects.join(part);
        if in_git && part == b"objects" {
            let is_loose = parts.next().is_some_and(|part| part.len() == 2);
            return is_loose && tree.get(&objects.join(b"pack")).is_some_and(|packs| !packs.entries().is_empty());
        }
    }
    false
}

/// Whether the path is git's folder itself. One that is a file or a link sends git to another.
pub fn is_git_folder(path: &TreePath) -> bool {
    path.split().is_some_and(|(_, name)| is_git(name))
}

/// Whether the path is git's folder, or in it.
pub fn is_inside(path: &TreePath) -> bool {
    path.parts().any(is_git)
}

/// Whether git gives a file this name while it writes it (`tmp_pack_…`, `tmp_obj_…`).
pub fn is_temporary(path: &TreePath) -> bool {
    path.split().is_some_and(|(_, name)| name.starts_with(b"tmp_"))
}

/// Whether git may find its folder under this name.
fn is_git(name: &[u8]) -> bool {
    is_alike(name, FOLDER)
}

/// Whether some file system takes `name` for `plain`: case aside, and without the letters that HFS+ does not see. As git
/// has it (`is_hfs_dotgit` in utf8.c).
fn is_alike(name: &[u8], plain: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(plain.as_bytes());
    }
    let unseen = |letter: &char| matches!(*letter, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    std::str::from_utf8(name)
        .is_ok_and(|text| text.chars().filter(|letter| !unseen(letter)).collect::<String>().eq_ignore_ascii_case(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tree::Leaf;

    #[test]
    fn objects_that_were_packed_are_known() {
        let mut tree = Node::folder();
        for path in ["a", "a/.git", "a/.git/objects", "a/.git/objects/pack"] {
            tree.set(&path.into(), Some(Node::folder()));
        }
        let loose = "a/.git/objects/ab/cd".into();
        assert!(!is_packed(&loose, &tree));
        tree.set(&"a/.git/objects/pack/x.pack".into(), Some(Node::Link(b"".as_slice().into())));
        assert!(is_packed(&loose, &tree) && is_packed(&"a/.git/objects/ab".into(), &tree));
        for path in ["a/.git/objects/pack/y.pack", "a/.git/HEAD", "a/objects/ab/cd", ".git/objects/ab/cd"] {
            assert!(!is_packed(&path.into(), &tree), "{path}");
        }
    }

    #[test]
    fn objects_come_first_and_what_git_runs_is_known() {
        let make = |path: &str, new| phase(&Step { path: path.into(), old: None, new, from: None });
        let folder = || Some(Leaf::Folder);
        assert_eq!(make("src/objects", folder()), Phase::First);
        assert_eq!(make("a/.git", folder()), Phase::First);
        assert_eq!(make(".git/objects/ab/cd", folder()), Phase::First);
        assert_eq!(make(".git/index", folder()), Phase::References);
        assert_eq!(make(".git/objects/ab/cd", None), Phase::Leftovers);
        for path in [
            ".git/config",
            "a/.git/hooks/pre-commit",
            ".git/modules/x/config",
            ".git/worktrees/w/config.worktree",
            ".GIT/Hooks/post-checkout",
            "a/.g\u{200c}it/config",
        ] {
            assert!(is_run_by_git(&path.into()), "{path}");
        }
        for path in ["config", "hooks/x", ".git/refs/heads/config", ".git/HEAD"] {
            assert!(!is_run_by_git(&path.into()), "{path}");
        }
    }
}

//! What is special about git's own folder: in which order its parts have to arrive, and what git runs.

use super::path::TreePath;
use super::reconcile::Step;

const FOLDER: &[u8] = b".git";

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
    let mut parts = step.path.parts().skip_while(|part| *part != FOLDER).skip(1);
    let objects = parts.any(|part| part == b"objects");
    let inside =
        step.path.parts().any(|part| part == FOLDER) && step.path.split().is_some_and(|(_, name)| name != FOLDER);
    match (inside, objects, &step.new) {
        (true, false, _) => Phase::References,
        (true, true, None) => Phase::Leftovers,
        _ => Phase::First,
    }
}

/// Whether git runs programs that stand at this path, or are named in it: those of the other side are not let in.
pub fn is_run_by_git(path: &TreePath) -> bool {
    let mut inner = path.parts().skip_while(|part| *part != FOLDER).skip(1).peekable();
    // Names of branches and of objects are anybody's choice.
    if inner.peek().is_some_and(|first| matches!(*first, b"refs" | b"logs" | b"objects")) {
        return false;
    }
    inner.any(|part| matches!(part, b"hooks" | b"config" | b"config.worktree"))
}

/// Whether the path is git's folder itself. One that is a file or a link sends git to another.
pub fn is_git_folder(path: &TreePath) -> bool {
    path.split().is_some_and(|(_, name)| name == FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tree::Leaf;

    #[test]
    fn objects_come_first_and_what_git_runs_is_known() {
        let make = |path: &str, new| phase(&Step { path: path.into(), old: None, new, from: None });
        let folder = || Some(Leaf::Folder);
        assert_eq!(make("src/objects", folder()), Phase::First);
        assert_eq!(make("a/.git", folder()), Phase::First);
        assert_eq!(make(".git/objects/ab/cd", folder()), Phase::First);
        assert_eq!(make(".git/index", folder()), Phase::References);
        assert_eq!(make(".git/objects/ab/cd", None), Phase::Leftovers);
        for path in
            [".git/config", "a/.git/hooks/pre-commit", ".git/modules/x/config", ".git/worktrees/w/config.worktree"]
        {
            assert!(is_run_by_git(&path.into()), "{path}");
        }
        for path in ["config", "hooks/x", ".git/refs/heads/config", ".git/HEAD"] {
            assert!(!is_run_by_git(&path.into()), "{path}");
        }
    }
}

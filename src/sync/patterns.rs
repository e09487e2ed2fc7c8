//! What stays apart by name.

use super::path::TreePath;
use crate::model::{Failure, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Always apart: what programs make from the source (another system's would not run here), and what editors and
/// desktops leave behind. A pattern of the mount that begins with `!` takes one back.
pub const DEFAULTS: &[&str] = &[
    "node_modules",
    "target/",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".gradle",
    ".direnv",
    ".next",
    ".DS_Store",
    "._*",
    ".*.sw[a-p]",
    ".#*",
    "\\#*#",
    "4913",
    "**/.git/**/*.lock",
];

/// A folder of this name at the top of a tree is sync's own.
pub const OWN: &str = ".devenv-sync";

/// Tells what stays apart.
#[derive(Debug)]
pub struct Patterns {
    /// The defaults and those of the mount.
    all: Gitignore,
    /// Those of the mount: they alone decide about a name that no default can match.
    more: Gitignore,
}

impl Patterns {
    /// The defaults and then `more`, in .gitignore syntax; a later one wins.
    ///
    /// # Errors
    /// A pattern cannot be read.
    pub fn new(more: &[String]) -> Result<Patterns> {
        let more = || more.iter().map(String::as_str);
        Ok(Patterns { all: matcher(DEFAULTS.iter().copied().chain(more()))?, more: matcher(more())? })
    }

    /// Whether the name `name` in `folder` stays apart. The folders above it are known not to.
    pub fn is_apart(&self, folder: &TreePath, name: &[u8], is_folder: bool) -> bool {
        let patterns = if may_be_default(name) { &self.all } else { &self.more };
        (folder.is_root() && is_own_name(name))
            || (!patterns.is_empty() && patterns.matched(folder.join(name).as_path(), is_folder).is_ignore())
    }

    /// Whether `path`, or a folder above it, stays apart.
    pub fn covers(&self, path: &TreePath, is_folder: bool) -> bool {
        let patterns = if path.parts().any(may_be_default) { &self.all } else { &self.more };
        !path.is_root() && (is_own(path) || patterns.matched_path_or_any_parents(path.as_path(), is_folder).is_ignore())
    }
}

fn matcher<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder.add_line(None, line).map_err(|error| {
            Failure::because(format!("`{line}` is no pattern"), error).hint("see gitignore(5) for what one looks like")
        })?;
    }
    builder.build().map_err(|error| Failure::because("cannot read the patterns to ignore", error))
}

/// Whether one of the defaults could match a path that ends in this name. Most names are spared the question, which
/// costs half as much as asking the file system for the file.
fn may_be_default(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'n' | b't' | b'.' | b'_' | b'#' | b'4')) || name.ends_with(b".lock")
}

/// Whether it is, or is in, sync's own folder, also by a name that a file system takes for it.
fn is_own(path: &TreePath) -> bool {
    path.parts().next().is_some_and(is_own_name)
}

fn is_own_name(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(OWN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_apart(patterns: &Patterns, path: &TreePath, is_folder: bool) -> bool {
        let (folder, name) = path.split().unwrap();
        patterns.is_apart(&folder, name, is_folder)
    }

    #[test]
    fn build_products_stay_apart_unless_taken_back() {
        let plain = Patterns::new(&[]).unwrap();
        for (path, is_folder, apart) in [
            ("node_modules", true, true),
            ("web/node_modules", true, true),
            ("target", true, true),
            ("target", false, false),
            ("src/main.rs", false, false),
            ("a/.main.rs.swp", false, true),
            ("#x#", false, true),
            (".env", false, false),
            (".git", true, false),
            (".git/index.lock", false, true),
            ("Cargo.lock", false, false),
        ] {
            assert_eq!(is_apart(&plain, &path.into(), is_folder), apart, "{path}");
        }
        let own = Patterns::new(&["!target/".into(), "/*.log".into(), "!.devenv-sync".into()]).unwrap();
        assert!(!is_apart(&own, &"target".into(), true));
        assert!(is_apart(&own, &"a.log".into(), false) && !is_apart(&own, &"b/a.log".into(), false));
        assert!(is_apart(&own, &".devenv-sync".into(), true));
        assert!(is_apart(&own, &".Devenv-Sync".into(), true) && own.covers(&".DEVENV-sync/stage/1".into(), false));
        assert!(own.covers(&"node_modules/a/b".into(), false));
    }

    #[test]
    fn no_default_matches_a_name_that_is_not_asked_about() {
        for line in DEFAULTS {
            let glob = line.trim_start_matches("**/.git/**/").trim_start_matches('\\');
            let beginning = glob.split(['*', '[', '/']).next().unwrap();
            let ending = glob.strip_prefix('*').unwrap_or_default();
            assert!(may_be_default(beginning.as_bytes()) || may_be_default(format!("x{ending}").as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_spared_the_question_would_not_have_matched(
            parts in prop::collection::vec("[nt._#4aeg]{1,3}|node_modules|target|\\.git|[a~.]{0,2}\\.(lock|log|swp)|4913|._x", 1..4),
            more in prop::collection::vec("!?(a\\*|\\*\\.log|target/|a/|/a|\\*\\*/\\.git/\\*|\\*\\.lock)", 0..3),
            is_folder in any::<bool>(),
        ) {
            let patterns = Patterns::new(&more).unwrap();
            let Some(path) = TreePath::parse(parts.join("/").as_bytes()) else { return Ok(()) };
            let asked = patterns.all.matched(path.as_path(), is_folder).is_ignore();
            prop_assert_eq!(is_apart(&patterns, &path, is_folder), asked);
            let asked = patterns.all.matched_path_or_any_parents(path.as_path(), is_folder).is_ignore();
            prop_assert_eq!(patterns.covers(&path, is_folder), asked);
        }
    }
}

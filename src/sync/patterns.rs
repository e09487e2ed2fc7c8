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
pub struct Patterns(Gitignore);

impl Patterns {
    /// The defaults and then `more`, in .gitignore syntax; a later one wins.
    ///
    /// # Errors
    /// A pattern cannot be read.
    pub fn new(more: &[String]) -> Result<Patterns> {
        let mut builder = GitignoreBuilder::new("");
        for line in DEFAULTS.iter().copied().chain(more.iter().map(String::as_str)) {
            builder.add_line(None, line).map_err(|error| {
                Failure::because(format!("`{line}` is no pattern"), error)
                    .hint("see gitignore(5) for what one looks like")
            })?;
        }
        let built = builder.build();
        built.map(Patterns).map_err(|error| Failure::because("cannot read the patterns to ignore", error))
    }

    /// Whether `path` stays apart. The folders above it are known not to.
    pub fn is_apart(&self, path: &TreePath, is_folder: bool) -> bool {
        is_own(path) || self.0.matched(path.as_path(), is_folder).is_ignore()
    }

    /// Whether `path`, or a folder above it, stays apart.
    pub fn covers(&self, path: &TreePath, is_folder: bool) -> bool {
        !path.is_root() && (is_own(path) || self.0.matched_path_or_any_parents(path.as_path(), is_folder).is_ignore())
    }
}

/// Whether it is, or is in, sync's own folder, also by a name that a file system takes for it.
fn is_own(path: &TreePath) -> bool {
    path.parts().next().is_some_and(|top| top.eq_ignore_ascii_case(OWN.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(plain.is_apart(&path.into(), is_folder), apart, "{path}");
        }
        let own = Patterns::new(&["!target/".into(), "/*.log".into(), "!.devenv-sync".into()]).unwrap();
        assert!(!own.is_apart(&"target".into(), true));
        assert!(own.is_apart(&"a.log".into(), false) && !own.is_apart(&"b/a.log".into(), false));
        assert!(own.is_apart(&".devenv-sync".into(), true));
        assert!(own.is_apart(&".Devenv-Sync".into(), true) && own.covers(&".DEVENV-sync/stage/1".into(), false));
        assert!(own.covers(&"node_modules/a/b".into(), false));
    }
}

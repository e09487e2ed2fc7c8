//! `up GIT-URL`: a new colleague's checkout, by the system's git with its keys and settings.

use super::computer::find_program;
use crate::config::FILE_NAME;
use crate::model::{Failure, Kind, Result};
use crate::ops::Context;
use crate::sys::command;
use std::path::PathBuf;
use std::time::Duration;

/// How long git may take to say where a clone came from.
const GIT_PATIENCE: Duration = Duration::from_secs(10);

/// Clones `url` into a folder below the caller's, named as git would name it, and gives the folder. One that is there
/// and is a clone of the same place is taken as it is.
///
/// # Errors
/// git is missing or fails, the folder holds something else, or the clone has no `devenv.toml`.
pub fn clone(context: &Context, url: &str, branch: Option<&str>) -> Result<PathBuf> {
    if find_program("git").is_none() {
        return Err(Failure::new("git is not installed").hint("install it: `apt install git`, or as your system does"));
    }
    let folder = context.folder.join(folder_name(url)?);
    if folder.exists() {
        let origin = ["-C", &folder.to_string_lossy(), "remote", "get-url", "origin"];
        let known = command::run("git", &origin, b"", GIT_PATIENCE)?;
        if !known.status.success() || String::from_utf8_lossy(&known.output).trim() != url {
            return Err(Failure::new(format!("{} is there already and is no clone of {url}", folder.display()))
                .hint("go elsewhere, or move it away"));
        }
        context.events.note(format!("{} is there already: taken as it is", folder.display()));
    } else {
        context.events.step(format!("cloning {url}"));
        let mut words = vec!["clone"];
        words.extend(branch.into_iter().flat_map(|branch| ["--branch", branch]));
        let target = folder.to_string_lossy();
        // "--": an address that begins with a dash is no option.
        words.extend(["--", url, &target]);
        if !command::attended("git", &words)?.success() {
            return Err(Failure::new(format!("git could not clone {url}")).hint("what git said is above"));
        }
    }
    if !folder.join(FILE_NAME).is_file() {
        return Err(Failure::new(format!("{url} has no {FILE_NAME}"))
            .kind(Kind::NotFound)
            .hint(format!("its clone is {}; `devenv init` there writes one", folder.display())));
    }
    Ok(folder)
}

/// The last part of an address, without `.git`, as git-clone(1) does.
fn folder_name(url: &str) -> Result<String> {
    let path = url.trim_end_matches('/');
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    let name = last.strip_suffix(".git").unwrap_or(last);
    match name {
        "" | "." | ".." => Err(Failure::new(format!("'{url}' names no repository")).kind(Kind::Usage)),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn folders_are_named_as_git_names_them() {
        for (url, wanted) in [
            ("https://example.org/a/shop.git", "shop"),
            ("git@example.org:a/shop", "shop"),
            ("host:shop.git", "shop"),
            ("/srv/git/shop/", "shop"),
        ] {
            assert_eq!(folder_name(url).unwrap(), wanted, "{url}");
        }
        assert!(folder_name("/").is_err());
        assert!(folder_name("https://example.org/..").is_err());
    }
}

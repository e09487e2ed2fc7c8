//! Whom programs of a box trust besides what its image says: certificates of the user's settings.
//!
//! They are written into the box's layer, where tools of the distribution look for local ones and into the lists those
//! tools make, rather than mounted over a list: a list that is a mount cannot be made anew, which installing
//! `ca-certificates` does. Only where nobody in the box may write the list (`host` as an ordinary user, whose box's root
//! is not root of the host's files) is it covered by a mount.

use crate::model::{Failure, Result};
use crate::sys::linux::mount;
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Lists of certificates as distributions have them: Debian and Alpine (and Go's first guess), Fedora, openSUSE.
const LISTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
];
/// Where update-ca-certificates(8) and update-ca-trust(8) take local certificates from.
const LOCAL: [&str; 2] = ["/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors"];
/// What covers a list that cannot be written; `/etc` itself is the box's own in any case.
const COVER: &str = "/etc/devenv-ca-certificates.crt";
/// Around ours in a list.
const BEGIN: &str = "# devenv: certificates of ~/.config/devenv/config.toml\n";
const END: &str = "# devenv: end\n";

/// Has the box trust `authorities` (PEM texts), and no other of an earlier start.
///
/// # Errors
/// A list cannot be written.
pub fn add(tree: &RootDir, authorities: &[String]) -> Result<()> {
    let before = tree.read(&local(LOCAL[0], 1));
    if authorities.is_empty() && before.is_empty() {
        return Ok(());
    }
    for folder in LOCAL.iter().filter(|folder| **folder == LOCAL[0] || has_folder(tree, folder)) {
        write_local(tree, folder, authorities).or_else(unless_denied)?;
    }
    let lists = LISTS.map(|list| (Path::new(list), tree.read(Path::new(list))));
    for (list, text) in lists.iter().filter(|(_, text)| !text.is_empty()) {
        write_list(tree, list, &with(text, authorities))?;
    }
    // The first is what variables of the environment name, so it is there in any case.
    let (first, text) = &lists[0];
    if text.is_empty() {
        let other = lists.iter().find(|(_, text)| !text.is_empty()).map_or("", |(_, text)| text);
        write_list(tree, first, &with(other, authorities))?;
    }
    Ok(())
}

fn write_list(tree: &RootDir, list: &Path, text: &str) -> Result<()> {
    let denied = match tree.replace(list, text.as_bytes(), 0o644) {
        Err(failure) if is_denied(&failure) => failure,
        outcome => return outcome,
    };
    let Some((covered, _)) = tree.find(list)? else { return Err(denied) };
    let cover = Path::new(COVER);
    tree.replace(cover, text.as_bytes(), 0o644)?;
    let Some((cover, _)) = tree.find(cover)? else { return Err(denied) };
    mount::attach(&mount::view_of(cover)?, covered)
}

fn unless_denied(failure: Failure) -> Result<()> {
    if is_denied(&failure) { Ok(()) } else { Err(failure) }
}

fn is_denied(failure: &Failure) -> bool {
    let cause = failure.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn has_folder(tree: &RootDir, folder: &str) -> bool {
    matches!(tree.find(Path::new(folder)), Ok(Some((_, PlaceKind::Folder))))
}

/// The tools want a file for each, ending in `.crt`.
fn local(folder: &str, number: usize) -> PathBuf {
    Path::new(folder).join(format!("devenv-{number}.crt"))
}

/// Writes them one behind the other; an empty file ends those of an earlier start.
fn write_local(tree: &RootDir, folder: &str, authorities: &[String]) -> Result<()> {
    for (authority, number) in authorities.iter().zip(1..) {
        tree.replace(&local(folder, number), authority.as_bytes(), 0o644)?;
    }
    let behind = local(folder, authorities.len() + 1);
    if tree.read(&behind).is_empty() { Ok(()) } else { tree.replace(&behind, b"", 0o644) }
}

/// A list without what was added before, and with these (pure).
fn with(list: &str, authorities: &[String]) -> String {
    let mut text = match (list.find(BEGIN), list.find(END)) {
        (Some(begin), Some(end)) if begin < end => format!("{}{}", &list[..begin], &list[end + END.len()..]),
        _ => list.to_owned(),
    };
    if !authorities.is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(BEGIN);
        authorities.iter().for_each(|authority| text.extend([authority.trim_end(), "\n"]));
        text.push_str(END);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn a_list_gets_them_once_and_loses_them_again() {
        let (first, second) = (vec!["ONE\n".to_owned()], vec!["TWO".to_owned(), "THREE".to_owned()]);
        let once = with("OLD", &first);
        assert!(once.starts_with("OLD\n# devenv") && once.contains("\nONE\n"), "{once}");
        assert_eq!(with(&once, &first), once);
        let other = with(&once, &second);
        assert!(other.contains("TWO\nTHREE\n") && !other.contains("ONE"), "{other}");
        assert_eq!(with(&other, &[]), "OLD\n");
    }
}

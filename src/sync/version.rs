//! What one side has at a path, for people.

use crate::model::sync::{LONGEST_TEXT_BYTES, SyncVersion};
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::folder::{Folder, Sort};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// What stands at `path` below `root`. No link is followed on the way.
///
/// # Errors
/// `path` leads elsewhere, or something cannot be read.
pub fn version(root: &Path, path: &Path) -> Result<SyncVersion> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes()),
            _ => {
                return Err(Failure::new(format!("{} is no path in a synced folder", path.display())).kind(Kind::Usage));
            }
        }
    }
    let Some((name, parents)) = names.split_last() else { return Ok(SyncVersion::Folder) };
    look(root, parents, name).trying(|| format!("cannot read {}", path.display()))
}

fn look(root: &Path, parents: &[&[u8]], name: &[u8]) -> io::Result<SyncVersion> {
    let mut folder = Folder::at(root)?;
    for parent in parents {
        match folder.look(parent)?.map(|facts| facts.sort) {
            Some(Sort::Folder) => folder = folder.enter(parent)?,
            _ => return Ok(SyncVersion::Nothing),
        }
    }
    let Some(facts) = folder.look(name)? else { return Ok(SyncVersion::Nothing) };
    Ok(match facts.sort {
        Sort::Folder => SyncVersion::Folder,
        Sort::Special => SyncVersion::Special,
        Sort::Link => SyncVersion::Link { target: String::from_utf8_lossy(&folder.read_link(name)?).into_owned() },
        Sort::File => SyncVersion::File {
            size_bytes: facts.size_bytes,
            modified_s: u64::try_from(facts.modified_nanoseconds / 1_000_000_000).unwrap_or(0),
            executable: facts.mode & 0o100 != 0,
            text: text(&folder, name)?,
        },
    })
}

/// The content, when it is short text.
fn text(folder: &Folder, name: &[u8]) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    folder.read(name)?.take(LONGEST_TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    let is_text = bytes.len() as u64 <= LONGEST_TEXT_BYTES && !bytes.contains(&0);
    Ok(String::from_utf8(bytes).ok().filter(|_| is_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("folder")).unwrap();
        std::fs::write(root.path().join("folder/text"), "one\n").unwrap();
        std::fs::write(root.path().join("binary"), [0, 1]).unwrap();
        std::os::unix::fs::symlink("folder", root.path().join("link")).unwrap();
        let seen = |path: &str| version(root.path(), Path::new(path)).unwrap();
        let SyncVersion::File { size_bytes: 4, executable: false, text, .. } = seen("folder/text") else {
            panic!("{:?}", seen("folder/text"))
        };
        assert_eq!(text.as_deref(), Some("one\n"));
        assert!(matches!(seen("binary"), SyncVersion::File { size_bytes: 2, text: None, .. }));
        assert_eq!(seen("link"), SyncVersion::Link { target: "folder".into() });
        assert_eq!(seen("folder"), SyncVersion::Folder);
        for path in ["link/text", "absent", "absent/text"] {
            assert_eq!(seen(path), SyncVersion::Nothing, "{path}");
        }
        assert!(version(root.path(), Path::new("../x")).is_err());
    }
}

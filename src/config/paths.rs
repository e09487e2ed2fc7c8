//! `mounts`, `volumes`, `tmpfs`: what appears where in a box.

use super::env::HostEnvironment;
use super::file::{MountEntry, MountTable, SyncWord};
use super::sizes::parse_size_bytes;
use crate::model::{Mount, SyncMode, Tmpfs, VolumeMount, VolumeName};
use crate::sys;
use std::path::{Component, Path, PathBuf};

/// What is wrong, and what to do.
pub type Wrong = (String, Option<String>);

/// One of `mounts`; `folder` is where relative sources start.
///
/// # Errors
/// The source does not exist, or the entry is not written as it should be.
pub fn resolve_mount(entry: &MountEntry, folder: &Path, host: &HostEnvironment<'_>) -> Result<Mount, Wrong> {
    let table = match entry {
        MountEntry::Text(text) => &split_mount(text)?,
        MountEntry::Table(table) => table,
    };
    let sync = match table.sync {
        None | Some(SyncWord::TwoWay) => SyncMode::TwoWay,
        Some(SyncWord::OneWay) => SyncMode::OneWay,
        Some(SyncWord::Mirror) => SyncMode::Mirror,
        Some(SyncWord::None) => SyncMode::None,
    };
    Ok(Mount {
        target: box_path(&table.target)?,
        source: existing(&table.source, folder, host)?,
        readonly: table.readonly,
        sync,
        ignore: table.ignore.clone(),
    })
}

fn split_mount(text: &str) -> Result<MountTable, Wrong> {
    let (source, target, readonly) = split_target(text, "SOURCE:TARGET or SOURCE:TARGET:ro, as \".:/src\"")?;
    let (source, target) = (source.to_owned(), target.to_owned());
    Ok(MountTable { source, target, readonly, sync: None, ignore: Vec::new() })
}

/// `LEFT:TARGET[:ro]`; the left part may hold colons itself.
fn split_target<'a>(text: &'a str, grammar: &str) -> Result<(&'a str, &'a str, bool), Wrong> {
    let (rest, readonly) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let wrong = || (format!("\"{text}\" has no target"), Some(format!("written {grammar}")));
    let (left, target) = rest.rsplit_once(':').ok_or_else(wrong)?;
    if !target.starts_with('/') && left.contains(":/") {
        return Err((format!("\"{target}\" is not a mount option"), Some("the only option is `ro`".into())));
    }
    if left.is_empty() {
        return Err((format!("\"{text}\" has nothing before the colon"), Some(format!("written {grammar}"))));
    }
    Ok((left, target, readonly))
}

/// `path` of this computer, absolute and without symlinks.
fn existing(path: &str, folder: &Path, host: &HostEnvironment<'_>) -> Result<PathBuf, Wrong> {
    let full = host_path(path, folder, host);
    let real = sys::fs::real_path(&full).map_err(|failure| {
        let cause = failure.chain().pop().unwrap_or_default();
        let hint = if full.exists() { cause } else { format!("make it first: mkdir -p '{}'", full.display()) };
        (format!("{} does not exist", full.display()), Some(hint))
    })?;
    match real.to_str() {
        Some(_) => Ok(real),
        None => Err((format!("the name of {} is not UTF-8", real.display()), None)),
    }
}

/// A path of this computer: `~/` is the home folder, a relative one starts at `folder`.
pub fn host_path(path: &str, folder: &Path, host: &HostEnvironment<'_>) -> PathBuf {
    let below_home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let full = match (below_home, host.home()) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest.trim_start_matches('/')),
        _ => folder.join(path),
    };
    // `a/./b` is `a/b`; `..` stays, since only the kernel knows where it leads behind a symlink.
    full.components().filter(|part| *part != Component::CurDir).collect()
}

/// An absolute path in a box, without `.` and double slashes.
///
/// # Errors
/// It is relative, the root itself, or climbs with `..`.
pub fn box_path(text: &str) -> Result<PathBuf, Wrong> {
    let path = Path::new(text);
    if !path.is_absolute() {
        let hint = format!("a path in the box starts with a slash: \"/{text}\"");
        return Err((format!("\"{text}\" is not an absolute path"), Some(hint)));
    }
    if path.components().any(|part| part == Component::ParentDir) || text.contains('\0') {
        return Err((format!("\"{text}\" cannot be used as a path in the box"), Some("write it without `..`".into())));
    }
    let clean: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if clean == Path::new("/") {
        return Err(("the box's root cannot be covered".into(), Some("choose a folder below `/`".into())));
    }
    Ok(clean)
}

/// One of `volumes`.
///
/// # Errors
/// It is not `NAME:TARGET[:ro]`.
pub fn resolve_volume(text: &str) -> Result<VolumeMount, Wrong> {
    let (name, target, readonly) = split_target(text, "NAME:TARGET or NAME:TARGET:ro, as \"data:/var/lib/data\"")?;
    let hint = || name.contains('/').then(|| "a folder of this computer belongs into `mounts`".to_owned());
    let volume = VolumeName::new(name).map_err(|why| (format!("\"{name}\" cannot name a volume: {why}"), hint()))?;
    Ok(VolumeMount { name: volume, target: box_path(target)?, readonly })
}

/// One of `tmpfs`.
///
/// # Errors
/// It is not `TARGET[:SIZE]`.
pub fn resolve_tmpfs(text: &str) -> Result<Tmpfs, Wrong> {
    let (target, size) = match text.rsplit_once(':') {
        Some((target, size)) => (target, Some(size.strip_prefix("size=").unwrap_or(size))),
        None => (text, None),
    };
    let hint = || Some("written as `512m` or `2g`".to_owned());
    let size_bytes = size.map(parse_size_bytes).transpose().map_err(|what| (what, hint()))?;
    Ok(Tmpfs { target: box_path(target)?, size_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_split_from_the_right() {
        let split = |text: &str| split_target(text, "x").map(|(a, b, c)| (a.to_owned(), b.to_owned(), c)).ok();
        let some = |a: &str, b: &str, c| Some((a.to_owned(), b.to_owned(), c));
        assert_eq!(split(".:/src"), some(".", "/src", false));
        assert_eq!(split("a:b:/src:ro"), some("a:b", "/src", true));
        assert_eq!(split("a:/src:rw"), some("a", "/src", false));
        assert_eq!(split("/src"), None);
        assert_eq!(split(":/src"), None);
        assert_eq!(split("a:/src:cached"), None);
    }

    #[test]
    fn box_paths_are_absolute_and_do_not_climb() {
        assert_eq!(box_path("/a//b/./c/"), Ok(PathBuf::from("/a/b/c")));
        for wrong in ["", "a", "/", "/a/../b", "//"] {
            assert!(box_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tmpfs_and_volumes_are_read() {
        let tmpfs = resolve_tmpfs("/tmp:512m").expect("valid");
        assert_eq!((tmpfs.target, tmpfs.size_bytes), (PathBuf::from("/tmp"), Some(512 << 20)));
        assert!(resolve_tmpfs("/tmp:lots").is_err());
        assert!(resolve_volume("data:/var/data:ro").expect("valid").readonly);
        assert!(resolve_volume("./data:/var/data").is_err());
    }
}

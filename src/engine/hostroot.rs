//! This computer's own tree as a box's root: every folder under a writable layer, some places empty.
//!
//! The kernel refuses one overlay over `/` to a user namespace, because the mounts below it are locked together
//! (mount_namespaces(7)). So the root is put together: a folder without mounts below becomes one overlay, a folder
//! with some is made anew and its entries are treated the same way.

use crate::model::{Result, Trying};
use crate::sys::linux::mount::{self, Attributes, attach, restrict, view};
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Deeper than this a folder with mounts below is shown as it is, read-only.
const DEEPEST: usize = 4;

/// Puts the tree together at `root`, its changes in `upper`, over those kept in `layers`. Entries of `hidden` are
/// there and empty.
///
/// # Errors
/// Overlays are refused, or `upper` cannot be written.
pub fn attach_host(layers: &[PathBuf], upper: &Path, work: &Path, hidden: &[PathBuf], root: &Path) -> Result<()> {
    let mounts = mount_points(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let (base, base_work) = (upper.join(BASE), work.join(BASE));
    make(&base, 0o755)?;
    let below: Vec<RootDir> = kept(layers, Path::new(BASE))?;
    if below.is_empty() {
        attach(&view(&base, false)?, RootDir::open(root)?)?;
    } else {
        make(&base_work, 0o700)?;
        mount::overlay(&below, RootDir::open(&base)?, RootDir::open(&base_work)?, root)?;
    }
    let composer = Composer { layers, upper, work, hidden, mounts, root: RootDir::open(root)? };
    composer.folder(Path::new("/"), 0)
}

/// In a layer: what is not below any folder of the host, and what is.
const BASE: &str = "root";
const OVER: &str = "over";

/// The folders `path` of those layers that have one.
fn kept(layers: &[PathBuf], path: &Path) -> Result<Vec<RootDir>> {
    layers.iter().map(|layer| layer.join(path)).filter(|path| path.is_dir()).map(|path| RootDir::open(&path)).collect()
}

struct Composer<'a> {
    layers: &'a [PathBuf],
    upper: &'a Path,
    work: &'a Path,
    hidden: &'a [PathBuf],
    mounts: Vec<PathBuf>,
    root: RootDir,
}

impl Composer<'_> {
    fn folder(&self, path: &Path, depth: usize) -> Result<()> {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let (inner, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if matches!(inner.to_str(), Some("/proc" | "/sys" | "/dev")) || inner.starts_with(self.upper) {
                continue;
            }
            if kind.is_symlink() {
                let target = fs::read_link(&inner).unwrap_or_default();
                self.root.link(&inner, &target.to_string_lossy())?;
            } else if self.hidden.contains(&inner) {
                self.empty(&inner)?;
            } else if kind.is_dir() {
                self.one(&inner, depth)?;
            } else if kind.is_file() {
                self.as_it_is(&inner, PlaceKind::File)?;
            }
        }
        for hidden in self.hidden.iter().filter(|hidden| hidden.parent() == Some(path)) {
            self.empty(hidden)?;
        }
        Ok(())
    }

    fn one(&self, path: &Path, depth: usize) -> Result<()> {
        let below = |other: &&PathBuf| other.starts_with(path) && *other != path;
        if !self.mounts.iter().chain(self.hidden).any(|other| below(&other)) {
            return match self.overlay(path) {
                // A file system that no overlay can be made over (FAT, FUSE, network) is shown as it is.
                Err(_) if self.mounts.iter().any(|mount| mount == path) => self.as_it_is(path, PlaceKind::Folder),
                other => other,
            };
        }
        if depth >= DEEPEST {
            return Ok(());
        }
        let mode = fs::metadata(path).map_or(0o755, |facts| facts.permissions().mode() & 0o7777);
        self.root.make_folder(path, ROOT, mode | 0o555)?;
        self.folder(path, depth + 1)
    }

    fn overlay(&self, path: &Path) -> Result<()> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let (upper, work) = (self.upper.join(OVER).join(relative), self.work.join(flat(relative)));
        let mode = fs::metadata(path).map_or(0o755, |facts| facts.permissions().mode() & 0o7777);
        make(&upper, mode)?;
        make(&work, 0o700)?;
        let place = self.root.place(path, PlaceKind::Folder)?;
        let at = crate::sys::linux::exe::path_of(&place);
        // `RootDir` opens by path only: a folder that our user may not read can still be a layer.
        let mut lowers = vec![RootDir::open(path)?];
        lowers.extend(kept(self.layers, &Path::new(OVER).join(relative))?);
        mount::overlay(&lowers, RootDir::open(&upper)?, RootDir::open(&work)?, &at)
    }

    fn as_it_is(&self, path: &Path, kind: PlaceKind) -> Result<()> {
        let Ok(shown) = view(path, false) else { return Ok(()) };
        restrict(&shown, Attributes { readonly: true, ..Attributes::default() }, false)?;
        attach(&shown, self.root.place(path, kind)?)
    }

    fn empty(&self, path: &Path) -> Result<()> {
        let mode = if path == Path::new("/tmp") { 0o1777 } else { 0o755 };
        self.root.make_folder(path, ROOT, mode)
    }
}

/// Owner of the folders made here; left to whoever makes them where that id is not mapped.
const ROOT: Option<(u32, u32)> = Some((0, 0));

/// Folders on which something is mounted, from the text of mountinfo (proc_pid_mountinfo(5)).
fn mount_points(text: &str) -> Vec<PathBuf> {
    let unescape = |field: &str| field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(|field| unescape(field).into()).collect()
}

/// A file name for a relative path: no two paths share one.
fn flat(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('/', "%2f")
}

fn make(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .and_then(|()| crate::sys::linux::credentials::give_to_root(path))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .trying(|| format!("cannot make the folder {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let text = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /my\\040disk rw shared:1 - ext4 /dev/b rw\n";
        assert_eq!(mount_points(text), [PathBuf::from("/"), PathBuf::from("/my disk")]);
    }

    #[test]
    fn flat_names_do_not_collide() {
        assert_ne!(flat(Path::new("a/b")), flat(Path::new("a%2fb")));
    }
}

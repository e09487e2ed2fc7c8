//! Work below a folder whose content is not trusted: no path leaves it, whatever symlinks it holds (openat2(2)).

use crate::model::{Failure, Result, Trying};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, symlinkat, unlinkat};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// A folder that is taken for `/` while looking up paths below it.
pub struct RootDir {
    root: OwnedFd,
    shown: PathBuf,
}

/// What a place must be so that something can be mounted on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    Folder,
    File,
}

/// A device file to make (mknod(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// As mknod(1) names it: b, c, u or p.
    pub kind: char,
    pub major: u64,
    pub minor: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl RootDir {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// It is missing or not a folder.
    pub fn open(path: &Path) -> Result<RootDir> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = nix::fcntl::open(path, flags, Mode::empty()).trying(|| format!("cannot open {}", path.display()))?;
        Ok(RootDir { root, shown: path.into() })
    }

    /// Opens `path` for mounting, making it and the folders above it where they are missing. Symlinks are followed
    /// as the box itself would, except a last one, which gives way to a plain file when a file is wanted.
    ///
    /// # Errors
    /// A part of the path is a file, or cannot be made.
    pub fn place(&self, path: &Path, kind: PlaceKind) -> Result<OwnedFd> {
        self.try_place(path, kind).trying(|| format!("cannot make {} in the box", path.display()))
    }

    fn try_place(&self, path: &Path, kind: PlaceKind) -> std::result::Result<OwnedFd, Errno> {
        let Some(name) = path.file_name() else { return self.open_path(Path::new("."), OFlag::O_DIRECTORY) };
        let parent = self.make_folders(path.parent().unwrap_or(Path::new("/")))?;
        if kind == PlaceKind::Folder {
            return match self.open_path(path, OFlag::O_DIRECTORY) {
                Err(Errno::ENOENT) => {
                    // A dangling symlink stands for a folder that is not there yet.
                    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
                        Err(Errno::EEXIST) => {
                            unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?;
                            mkdirat(&parent, name, Mode::from_bits_truncate(0o755))?;
                        }
                        other => other?,
                    }
                    self.open_path(path, OFlag::O_DIRECTORY)
                }
                other => other,
            };
        }
        if stat_of(&parent, name).is_ok_and(|found| is(&found, SFlag::S_IFLNK)) {
            unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?;
        }
        let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        match nix::fcntl::openat(&parent, name, flags | OFlag::O_RDONLY, Mode::from_bits_truncate(0o644)) {
            // There already, and not to be opened: a socket, or a file without read permission.
            Ok(_) | Err(Errno::ENXIO | Errno::EACCES | Errno::EEXIST | Errno::EISDIR) => {}
            Err(error) => return Err(error),
        }
        nix::fcntl::openat(&parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
    }

    fn make_folders(&self, path: &Path) -> std::result::Result<OwnedFd, Errno> {
        let mut made = PathBuf::from("/");
        for part in path.components() {
            match part {
                Component::Normal(name) => made.push(name),
                Component::ParentDir => return Err(Errno::EINVAL),
                _ => continue,
            }
            match self.open_path(&made, OFlag::O_DIRECTORY) {
                Err(Errno::ENOENT) => {
                    let parent = self.open_path(made.parent().unwrap_or(Path::new("/")), OFlag::O_DIRECTORY)?;
                    let name = made.file_name().unwrap_or_default();
                    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => return Err(error),
                    }
                }
                other => drop(other?),
            }
        }
        self.open_path(&made, OFlag::O_DIRECTORY)
    }

    /// Opens `path` without making anything; `None` when it is missing.
    ///
    /// # Errors
    /// It is there and may not be looked up.
    pub fn find(&self, path: &Path) -> Result<Option<(OwnedFd, PlaceKind)>> {
        match self.open_path(path, OFlag::empty()) {
            Ok(found) => {
                let facts = fstat(&found).trying(|| format!("cannot look at {} in the box", path.display()))?;
                let kind = if is(&facts, SFlag::S_IFDIR) { PlaceKind::Folder } else { PlaceKind::File };
                Ok(Some((found, kind)))
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(Failure::because(format!("cannot open {} in the box", path.display()), error)),
        }
    }

    /// The text of a small file, or an empty one when it is missing or not plain text.
    pub fn read(&self, path: &Path) -> String {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let mut text = String::new();
        if let Ok(file) = openat2(&self.root, path_or_dot(path), how)
            && fstat(&file).is_ok_and(|facts| is(&facts, SFlag::S_IFREG))
        {
            // 16 MiB: far more than any passwd or group file, and no way to fill our memory.
            let _ = File::from(file).take(16 << 20).read_to_string(&mut text);
        }
        text
    }

    /// Replaces the file at `path` (a symlink gives way), with the folders above it.
    ///
    /// # Errors
    /// The box's file system is full or refuses.
    pub fn replace(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let written = (|| {
            let parent = self.make_folders(path.parent().unwrap_or(Path::new("/")))?;
            let name = path.file_name().ok_or(Errno::EINVAL)?;
            match unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = nix::fcntl::openat(&parent, name, flags, Mode::from_bits_truncate(mode))?;
            fchmod(&file, Mode::from_bits_truncate(mode))?;
            Ok(File::from(file))
        })();
        written
            .map_err(std::io::Error::from)
            .and_then(|mut file| file.write_all(content))
            .trying(|| format!("cannot write {} in the box", path.display()))
    }

    /// Makes a folder with this owner (where its ids are mapped) and mode unless something is there.
    ///
    /// # Errors
    /// The box's file system is full or refuses.
    pub fn make_folder(&self, path: &Path, owner: Option<(u32, u32)>, mode: u32) -> Result<()> {
        if self.find(path)?.is_some() {
            return Ok(());
        }
        let made = (|| {
            let parent = self.make_folders(path.parent().unwrap_or(Path::new("/")))?;
            let name = path.file_name().ok_or(Errno::EINVAL)?;
            mkdirat(&parent, name, Mode::from_bits_truncate(0o700))?;
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let folder = nix::fcntl::openat(&parent, name, flags, Mode::empty())?;
            if let Some((uid, gid)) = owner {
                match fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
                    // EINVAL: the id is not mapped in this user namespace.
                    Ok(()) | Err(Errno::EINVAL) => {}
                    Err(error) => return Err(error),
                }
            }
            fchmod(&folder, Mode::from_bits_truncate(mode))
        })();
        made.trying(|| format!("cannot make the folder {} in the box", path.display()))
    }

    /// Makes a device file (`c`, `u`, `b`) or a named pipe (`p`), in place of what is there.
    ///
    /// # Errors
    /// As mknod(2): `EPERM` in a user namespace.
    pub fn make_device(&self, path: &Path, device: Device) -> Result<()> {
        let made = (|| {
            let parent = self.make_folders(path.parent().unwrap_or(Path::new("/")))?;
            let name = path.file_name().ok_or(Errno::EINVAL)?;
            match unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error),
            }
            let kind = match device.kind {
                'b' => SFlag::S_IFBLK,
                'p' => SFlag::S_IFIFO,
                _ => SFlag::S_IFCHR,
            };
            let numbers = nix::sys::stat::makedev(device.major, device.minor);
            nix::sys::stat::mknodat(&parent, name, kind, Mode::empty(), numbers)?;
            let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
            nix::unistd::fchownat(&parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let mode = Mode::from_bits_truncate(device.mode);
            nix::sys::stat::fchmodat(&parent, name, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)
        })();
        made.trying(|| format!("cannot make the device {} in the box", path.display()))
    }

    /// Makes a symlink unless something is there.
    ///
    /// # Errors
    /// As symlink(2).
    pub fn link(&self, path: &Path, target: &str) -> Result<()> {
        let made = (|| {
            let parent = self.make_folders(path.parent().unwrap_or(Path::new("/")))?;
            match symlinkat(target, &parent, path.file_name().ok_or(Errno::EINVAL)?) {
                Err(Errno::EEXIST) => Ok(()),
                other => other,
            }
        })();
        made.trying(|| format!("cannot make the symlink {} in the box", path.display()))
    }

    fn open_path(&self, path: &Path, more: OFlag) -> std::result::Result<OwnedFd, Errno> {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | more).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        // EAGAIN: a rename happened somewhere while "inside the root" was checked (openat2(2)).
        loop {
            match openat2(&self.root, path_or_dot(path), how) {
                Err(Errno::EAGAIN) => {}
                other => return other,
            }
        }
    }

    /// Where the folder is on the host, for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn path_or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn stat_of(parent: &OwnedFd, name: &std::ffi::OsStr) -> std::result::Result<FileStat, Errno> {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn is(facts: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits()) == kind
}

/// Whether the open file is the character device with these numbers (null(4)).
pub fn is_character_device(file: impl AsFd, major: u64, minor: u64) -> bool {
    fstat(file).is_ok_and(|facts| is(&facts, SFlag::S_IFCHR) && facts.st_rdev == nix::sys::stat::makedev(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn symlinks_of_the_folder_never_lead_out_of_it() {
        let temporary = tempfile::tempdir().unwrap();
        let (inside, outside) = (temporary.path().join("in"), temporary.path().join("out"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        symlink(&outside, inside.join("absolute")).unwrap();
        symlink("../out", inside.join("relative")).unwrap();
        symlink("../out/secret", inside.join("file")).unwrap();
        let root = RootDir::open(&inside).unwrap();
        for path in ["/absolute/new", "relative/new"] {
            let _ = root.place(Path::new(path), PlaceKind::File);
            let _ = root.make_folder(Path::new(path), None, 0o755);
            let _ = root.replace(Path::new(path), b"x", 0o644);
        }
        root.replace(Path::new("file"), b"x", 0o644).unwrap();
        assert_eq!(root.read(Path::new("relative/secret")), "");
        let left: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["secret"]);
        assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "s");
        assert_eq!(std::fs::read_to_string(inside.join("file")).unwrap(), "x");
    }

    #[test]
    fn places_are_made_with_the_folders_above_them() {
        let temporary = tempfile::tempdir().unwrap();
        let root = RootDir::open(temporary.path()).unwrap();
        root.place(Path::new("/a/b/file"), PlaceKind::File).unwrap();
        root.place(Path::new("/a/c/folder"), PlaceKind::Folder).unwrap();
        assert!(temporary.path().join("a/b/file").is_file());
        assert!(temporary.path().join("a/c/folder").is_dir());
        assert!(root.place(Path::new("/a/b/file/x"), PlaceKind::File).is_err());
        assert!(root.place(Path::new("/a/../b"), PlaceKind::File).is_err());
    }
}

//! Work in folders by descriptor: one name at a time, and no symlink is ever followed, so that nothing that happens to
//! the tree meanwhile, and nobody who writes into it, can lead a step outside.

use super::rename;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    File,
    Folder,
    Link,
    /// Socket, device, pipe.
    Special,
}

/// A name in a folder.
#[derive(Debug)]
pub struct Listed {
    pub name: Box<[u8]>,
    /// What stood under it when it was listed; some file systems do not say.
    pub sort: Option<Sort>,
}

/// What stat(2) says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub sort: Sort,
    /// The nine permission bits.
    pub mode: u16,
    pub size_bytes: u64,
    /// Since 1970.
    pub modified_nanoseconds: i64,
    /// Since 1970; no program can set it.
    pub changed_nanoseconds: i64,
    pub inode: u64,
    pub device: u64,
    pub uid: u32,
    /// How many names it has.
    pub links: u64,
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens the folder at `path`; symlinks on the way to it are followed, since whoever named it chose them.
    ///
    /// # Errors
    /// As open(2).
    pub fn at(path: &Path) -> io::Result<Folder> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Folder(openat(AT_FDCWD, path, flags, Mode::empty())?))
    }

    /// Opens the folder `name` in this one.
    ///
    /// # Errors
    /// As openat(2); a symlink is `ENOTDIR` or `ELOOP`.
    pub fn enter(&self, name: &[u8]) -> io::Result<Folder> {
        Ok(Folder(openat(&self.0, OsStr::from_bytes(name), FOLDER, Mode::empty())?))
    }

    /// The same folder once more.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn again(&self) -> io::Result<Folder> {
        self.0.try_clone().map(Folder)
    }

    /// The names in it, in no order.
    ///
    /// # Errors
    /// As getdents(2).
    pub fn names(&self) -> io::Result<Vec<Box<[u8]>>> {
        Ok(self.list()?.into_iter().map(|listed| listed.name).collect())
    }

    /// The names in it, in no order, with what stands under them.
    ///
    /// # Errors
    /// As getdents(2).
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        // Reading moves the position of the descriptor, so it gets one of its own.
        let mut folder = Dir::from_fd(openat(&self.0, ".", FOLDER, Mode::empty())?)?;
        let mut listed = Vec::new();
        for entry in folder.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                listed.push(Listed { name: name.into(), sort: entry.file_type().map(Sort::from) });
            }
        }
        Ok(listed)
    }

    /// What this folder is.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn facts(&self) -> io::Result<Facts> {
        Ok(Facts::from(fstat(&self.0)?))
    }

    /// What stands under `name`, `None` when nothing does.
    ///
    /// # Errors
    /// As fstatat(2).
    pub fn look(&self, name: &[u8]) -> io::Result<Option<Facts>> {
        match fstatat(&self.0, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Facts::from(stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file for reading. A pipe or device that took its place does not block.
    ///
    /// # Errors
    /// As openat(2).
    pub fn read(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        Ok(openat(&self.0, OsStr::from_bytes(name), flags, Mode::empty())?.into())
    }

    /// Makes a new file for writing and reading, with those of the nine permission bits that the process's mask lets.
    ///
    /// # Errors
    /// As openat(2); an existing name is `EEXIST`.
    pub fn create(&self, name: &[u8], mode: u16) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate((mode & 0o777).into());
        Ok(openat(&self.0, OsStr::from_bytes(name), flags, mode)?.into())
    }

    /// Opens a file for writing and reading, making it when it is missing.
    ///
    /// # Errors
    /// As openat(2).
    pub fn create_or_open(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.0, OsStr::from_bytes(name), flags, Mode::from_bits_truncate(0o600))?.into())
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As mkdirat(2).
    pub fn make_folder(&self, name: &[u8], mode: u16) -> io::Result<()> {
        mkdirat(&self.0, OsStr::from_bytes(name), Mode::from_bits_truncate(mode.into()))?;
        Ok(())
    }

    /// Makes a symlink.
    ///
    /// # Errors
    /// As symlinkat(2).
    pub fn make_link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        symlinkat(OsStr::from_bytes(target), &self.0, OsStr::from_bytes(name))?;
        Ok(())
    }

    /// What a symlink points to.
    ///
    /// # Errors
    /// As readlinkat(2).
    pub fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.0, OsStr::from_bytes(name))?.into_vec())
    }

    /// Removes a file or symlink.
    ///
    /// # Errors
    /// As unlinkat(2).
    pub fn unlink(&self, name: &[u8]) -> io::Result<()> {
        unlinkat(&self.0, OsStr::from_bytes(name), UnlinkatFlags::NoRemoveDir)?;
        Ok(())
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As unlinkat(2); `ENOTEMPTY` when something is in it.
    pub fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        unlinkat(&self.0, OsStr::from_bytes(name), UnlinkatFlags::RemoveDir)?;
        Ok(())
    }

    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// As renameat(2).
    pub fn rename_over(&self, name: &[u8], to: &Folder, new: &[u8]) -> io::Result<()> {
        renameat(&self.0, OsStr::from_bytes(name), &to.0, OsStr::from_bytes(new))?;
        Ok(())
    }

    /// Renames unless something has the new name already.
    ///
    /// # Errors
    /// `EEXIST`; as renameat2(2) or renameatx_np(2). A file system without it: `EINVAL`, `ENOTSUP`.
    pub fn rename_new(&self, name: &[u8], to: &Folder, new: &[u8]) -> io::Result<()> {
        rename::without_replacing(self.0.as_fd(), name, to.0.as_fd(), new)
    }

    /// Swaps two names in one step.
    ///
    /// # Errors
    /// As renameat2(2) or renameatx_np(2). A file system without it: `EINVAL`, `ENOTSUP`.
    pub fn swap(&self, name: &[u8], with: &Folder, other: &[u8]) -> io::Result<()> {
        rename::swapping(self.0.as_fd(), name, with.0.as_fd(), other)
    }

    /// Gives what stands under `name` to a user, not following a symlink.
    ///
    /// # Errors
    /// As fchownat(2).
    pub fn give(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        fchownat(&self.0, OsStr::from_bytes(name), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// Writes everything of its file system that is not on disk yet.
    ///
    /// # Errors
    /// As syncfs(2).
    pub fn sync_file_system(&self) -> io::Result<()> {
        rename::sync_file_system(self.0.as_fd())
    }
}

/// What an open file is.
///
/// # Errors
/// As fstat(2).
pub fn facts_of(file: &File) -> io::Result<Facts> {
    Ok(Facts::from(fstat(file)?))
}

/// Sets the nine permission bits of an open file.
///
/// # Errors
/// As fchmod(2).
pub fn set_mode(file: &File, mode: u16) -> io::Result<()> {
    fchmod(file, Mode::from_bits_truncate((mode & 0o777).into()))?;
    Ok(())
}

/// Whether this process may give files away.
pub fn may_give_files() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Sets the time of the last change of an open file's content, in nanoseconds since 1970.
///
/// # Errors
/// As futimens(2).
pub fn set_modified(file: &File, nanoseconds: i64) -> io::Result<()> {
    let time = TimeSpec::new(nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    futimens(file, &time, &time)?;
    Ok(())
}

impl From<Type> for Sort {
    fn from(listed: Type) -> Sort {
        match listed {
            Type::File => Sort::File,
            Type::Directory => Sort::Folder,
            Type::Symlink => Sort::Link,
            _ => Sort::Special,
        }
    }
}

impl From<FileStat> for Facts {
    // The types of the fields differ between systems.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    fn from(stat: FileStat) -> Facts {
        let sort = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Sort::File,
            SFlag::S_IFDIR => Sort::Folder,
            SFlag::S_IFLNK => Sort::Link,
            _ => Sort::Special,
        };
        Facts {
            sort,
            mode: (stat.st_mode & 0o777) as u16,
            size_bytes: stat.st_size as u64,
            modified_nanoseconds: stat.st_mtime as i64 * 1_000_000_000 + stat.st_mtime_nsec as i64,
            changed_nanoseconds: stat.st_ctime as i64 * 1_000_000_000 + stat.st_ctime_nsec as i64,
            inode: stat.st_ino as u64,
            device: stat.st_dev as u64,
            uid: stat.st_uid,
            links: stat.st_nlink as u64,
        }
    }
}

/// Whether an error means that another kind of thing stands there than was expected: a folder, a symlink, a file.
pub fn is_other_kind(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::EISDIR, Errno::ENOTDIR, Errno::ELOOP].contains(&Errno::from_raw(code)))
}

/// Whether an error means that this kind of rename is not known to the file system.
pub fn is_unsupported(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| [Errno::EINVAL, Errno::ENOTSUP, Errno::ENOSYS].contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_symlink_is_followed_and_swaps_swap() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::fs::write(folder.path().join("b"), "bb").unwrap();
        let open = Folder::at(folder.path()).unwrap();
        assert!(open.enter(b"real").is_ok());
        assert!(open.enter(b"link").is_err());
        assert!(open.read(b"link").is_err());
        assert_eq!(open.look(b"link").unwrap().unwrap().sort, Sort::Link);
        assert_eq!(open.rename_new(b"a", &open, b"b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        open.swap(b"a", &open, b"b").unwrap();
        assert_eq!(open.look(b"a").unwrap().unwrap().size_bytes, 2);
        set_modified(&open.read(b"a").unwrap(), -1_500_000_000).unwrap();
        assert_eq!(open.look(b"a").unwrap().unwrap().modified_nanoseconds, -1_500_000_000);
        let mut names = open.names().unwrap();
        names.sort();
        assert_eq!(names.iter().map(|name| &name[..]).collect::<Vec<_>>(), [&b"a"[..], b"b", b"link", b"real"]);
    }
}

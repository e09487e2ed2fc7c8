//! File operations below a directory that is held open. No step follows a symlink, so no name can lead outside.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A directory held open (`O_PATH`); names are single path components relative to it unless said otherwise.
pub struct Folder(OwnedFd);

/// What sort of thing a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
    Symlink,
    /// Character device 0:0: what overlayfs takes for "deleted".
    Whiteout,
    Other,
}

/// What `fstatat(2)` says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
}

/// Seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl Folder {
    /// Opens a folder by an ordinary path.
    ///
    /// # Errors
    /// As `open(2)` with `O_DIRECTORY`.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let path = text(path.as_os_str().as_bytes())?;
        // SAFETY: `path` is a terminated string that outlives the call; the result is checked before it is owned.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) };
        owned(fd).map(Folder)
    }

    /// Opens the folder at a relative path of any depth: `openat2(2)` with `RESOLVE_BENEATH`,
    /// `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_MAGICLINKS`.
    ///
    /// # Errors
    /// `ELOOP` where a component is a symlink, `ENOENT`, `ENOTDIR`, `EXDEV` on an attempt to leave.
    pub fn folder(&self, path: &[u8]) -> io::Result<Folder> {
        let path = text(path)?;
        // SAFETY: `open_how` is plain integers, for which zero is a valid value.
        let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
        how.flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
        how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
        let size = size_of::<libc::open_how>();
        // SAFETY: the descriptor is open, `path` terminated, and `how` valid for `size` bytes during the call.
        let fd = unsafe { libc::syscall(libc::SYS_openat2, self.raw(), path.as_ptr(), &raw const how, size) };
        owned(fd as i32).map(Folder)
    }

    /// Makes a file for writing; it must not exist.
    ///
    /// # Errors
    /// As `open(2)` with `O_EXCL | O_NOFOLLOW`.
    pub fn make_file(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let name = text(name)?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open and `name` terminated; the result is checked before it is owned.
        let fd = unsafe { libc::openat(self.raw(), name.as_ptr(), flags, mode) };
        owned(fd).map(File::from)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As `mkdirat(2)`.
    pub fn make_folder(&self, name: &[u8], mode: u32) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::mkdirat(self.raw(), name.as_ptr(), mode) })
    }

    /// Makes a symlink with any text as its target.
    ///
    /// # Errors
    /// As `symlinkat(2)`.
    pub fn make_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        let (name, target) = (text(name)?, text(target)?);
        // SAFETY: the descriptor is open and both strings terminated.
        done(unsafe { libc::symlinkat(target.as_ptr(), self.raw(), name.as_ptr()) })
    }

    /// Makes a hard link to `old_name` in `old`; a symlink there is linked itself, not followed.
    ///
    /// # Errors
    /// As `linkat(2)`.
    pub fn make_link(&self, name: &[u8], old: &Folder, old_name: &[u8]) -> io::Result<()> {
        let (name, old_name) = (text(name)?, text(old_name)?);
        // SAFETY: both descriptors are open and both strings terminated.
        done(unsafe { libc::linkat(old.raw(), old_name.as_ptr(), self.raw(), name.as_ptr(), 0) })
    }

    /// Makes a named pipe.
    ///
    /// # Errors
    /// As `mknodat(2)`.
    pub fn make_fifo(&self, name: &[u8], mode: u32) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::mknodat(self.raw(), name.as_ptr(), libc::S_IFIFO | mode, 0) })
    }

    /// Makes a character device 0:0, which `mknod(2)` allows to everyone (Linux 5.8).
    ///
    /// # Errors
    /// As `mknodat(2)`.
    pub fn make_whiteout(&self, name: &[u8]) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::mknodat(self.raw(), name.as_ptr(), libc::S_IFCHR, libc::makedev(0, 0)) })
    }

    /// What `name` is, or `None` when it does not exist.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub fn facts(&self, name: &[u8]) -> io::Result<Option<Facts>> {
        let name = text(name)?;
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open, `name` terminated and `stat` writable for one `struct stat`.
        let result = unsafe { libc::fstatat(self.raw(), name.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
        match done(result) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        // SAFETY: fstatat succeeded, so it has filled `stat`.
        let stat = unsafe { stat.assume_init() };
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Folder,
            libc::S_IFREG => Kind::File,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFCHR if stat.st_rdev == libc::makedev(0, 0) => Kind::Whiteout,
            _ => Kind::Other,
        };
        Ok(Some(Facts { kind, mode: stat.st_mode & 0o7777 }))
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// As `readlinkat(2)`.
    pub fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let name = text(name)?;
        let mut target = vec![0_u8; libc::PATH_MAX as usize];
        // SAFETY: the descriptor is open, `name` terminated and `target` writable for its length.
        let length = unsafe { libc::readlinkat(self.raw(), name.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        target.truncate(length);
        Ok(target)
    }

    /// Removes what is no folder.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::unlinkat(self.raw(), name.as_ptr(), 0) })
    }

    /// Removes a folder and all in it. Symlinks are removed, not followed.
    ///
    /// # Errors
    /// The first thing that cannot be removed.
    pub fn remove_tree(&self, name: &[u8]) -> io::Result<()> {
        // The name is one component of a folder we hold: the magic link leads to it whatever its path is.
        let path = format!("/proc/self/fd/{}", self.raw());
        std::fs::remove_dir_all(Path::new(&path).join(std::ffi::OsStr::from_bytes(name)))
    }

    /// Sets owner and group of `name` itself (`fchownat`, not following).
    ///
    /// # Errors
    /// As `fchownat(2)`; `EINVAL` when an id has no mapping in this user namespace.
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::fchownat(self.raw(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) })
    }

    /// Sets the permission bits of `name`, which must not be a symlink: `fchmodat(2)` would follow it.
    ///
    /// # Errors
    /// As `fchmodat(2)`.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> io::Result<()> {
        let name = text(name)?;
        // SAFETY: the descriptor is open and `name` terminated.
        done(unsafe { libc::fchmodat(self.raw(), name.as_ptr(), mode, 0) })
    }

    /// Sets the access and modification time of `name` itself.
    ///
    /// # Errors
    /// As `utimensat(2)`.
    pub fn set_time(&self, name: &[u8], time: Time) -> io::Result<()> {
        let name = text(name)?;
        let times = [timespec(time); 2];
        // SAFETY: the descriptor is open, `name` terminated and `times` two valid values.
        done(unsafe { libc::utimensat(self.raw(), name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })
    }

    /// Opens the folder `name` for reading, which extended attributes need.
    ///
    /// # Errors
    /// As `openat(2)` with `O_DIRECTORY | O_NOFOLLOW`.
    pub fn open_readable(&self, name: &[u8]) -> io::Result<File> {
        let name = text(name)?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open and `name` terminated; the result is checked before it is owned.
        owned(unsafe { libc::openat(self.raw(), name.as_ptr(), flags) }).map(File::from)
    }

    fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// Sets the owner and group of an open file.
///
/// # Errors
/// As `fchown(2)`.
pub fn set_owner(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::fchown(file, Some(uid), Some(gid))
}

/// Sets the access and modification time of an open file.
///
/// # Errors
/// As `futimens(2)`.
pub fn set_time(file: &File, time: Time) -> io::Result<()> {
    let times = [timespec(time); 2];
    // SAFETY: the descriptor is open and `times` two valid values.
    done(unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) })
}

/// Sets an extended attribute of an open file or folder.
///
/// # Errors
/// As `fsetxattr(2)`.
pub fn set_attribute(file: &File, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = text(name)?;
    // SAFETY: the descriptor is open, `name` terminated and `value` readable for its length.
    done(unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
}

/// Whether an open file or folder has an extended attribute.
pub fn has_attribute(file: &File, name: &[u8]) -> bool {
    let Ok(name) = text(name) else { return false };
    // SAFETY: the descriptor is open and `name` terminated; a size of 0 asks for the length only.
    unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

/// Brings everything written so far to the disk that holds `file`.
///
/// # Errors
/// As `syncfs(2)`.
pub fn sync_file_system(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    done(unsafe { libc::syncfs(file.as_raw_fd()) })
}

/// Gives the calling thread a umask of its own, 0, so that modes are made as asked. False when the kernel refuses.
pub fn clear_umask_of_this_thread() -> bool {
    // SAFETY: unshare(CLONE_FS) takes no pointers and changes only what this thread shares with others.
    if unsafe { libc::unshare(libc::CLONE_FS) } != 0 {
        return false;
    }
    // SAFETY: umask cannot fail; after the line above it is this thread's alone.
    unsafe { libc::umask(0) };
    true
}

fn timespec(time: Time) -> libc::timespec {
    libc::timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name has a zero byte in it"))
}

fn done(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    done(fd)?;
    // SAFETY: `fd` comes from a successful open call just above and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user and group that new files of this process belong to, as its own user namespace numbers them.
pub fn own_ids() -> (u32, u32) {
    // SAFETY: these two calls take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

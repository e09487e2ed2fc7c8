//! Files: what std lacks, and errors that name the path.

use crate::model::{Failure, Kind, Result, Trying};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// `path` as an absolute path without symlinks.
///
/// # Errors
/// It does not exist or cannot be reached.
pub fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).trying(|| format!("cannot find {}", path.display()))
}

/// The file's text, or `None` when there is no such file.
///
/// # Errors
/// It exists and cannot be read, or is not UTF-8.
pub fn read_if_exists(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::because(format!("cannot read {}", path.display()), error)),
    }
}

/// Makes `path` and the folders above it.
///
/// # Errors
/// As `mkdir(2)`; an existing folder is fine.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).trying(|| format!("cannot make the folder {}", path.display()))
}

/// Replaces `path` by `content` in one step that a crash or power loss cannot tear: temporary file beside it,
/// `fsync`, `rename`.
///
/// # Errors
/// The disk is full or the folder not writable; the old file is then untouched and the temporary one removed.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    write_with_mode(path, 0o666, |file| file.write_all(content))
}

/// As [`write_atomically`], of what `write` puts into the file.
///
/// # Errors
/// As [`write_atomically`], and those of `write`.
pub fn write_atomically_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    write_with_mode(path, 0o666, write)
}

/// As [`write_atomically`], for what only its owner may read.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_secret(path: &Path, content: &[u8]) -> Result<()> {
    write_with_mode(path, 0o600, |file| file.write_all(content))
}

fn write_with_mode(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(Failure::because(format!("cannot write {}", path.display()), error));
    }
    Ok(())
}

/// Removes a file; its absence is fine.
///
/// # Errors
/// As `unlink(2)`.
pub fn remove_file_if_exists(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::because(format!("cannot remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Removes a folder and all in it, also where folders inside lack write or search permission for their owner;
/// its absence is fine. Symlinks are removed, not followed.
///
/// # Errors
/// The first thing that cannot be removed.
pub fn remove_tree_if_exists(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_folders(path);
            fs::remove_dir_all(path).trying(|| format!("cannot remove {}", path.display()))
        }
        Err(error) => Err(Failure::because(format!("cannot remove {}", path.display()), error)),
    }
}

/// Gives the owner all rights on every folder below `path`, as far as possible: the removal that follows tells.
fn open_folders(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(facts) = fs::symlink_metadata(path) else { return };
    if !facts.is_dir() {
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}

/// An exclusive lock on a file, held until dropped; the kernel lets go of it when the process dies.
pub struct Lock(Option<File>);

impl Lock {
    /// Whether the file at `path` is still the one that is locked: it may have been removed, and made again by others.
    pub fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let number = |facts: fs::Metadata| (facts.dev(), facts.ino());
        match (self.0.as_ref().map(File::metadata), fs::metadata(path)) {
            (Some(Ok(own)), Ok(there)) => number(own) == number(there),
            _ => false,
        }
    }
}

impl Lock {
    /// The locked file, for a process that inherits it: the lock then holds until the last process with it has ended.
    pub fn into_file(mut self) -> File {
        self.0.take().expect("only this takes the file away")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child between fork and exec still has the file. Failing, the kernel does it later.
        if let Some(file) = &self.0 {
            let _ = file.unlock();
        }
    }
}

/// Takes the lock on `path`, waiting for whoever has it. `waiting` is called once before a wait.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> Result<Lock> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock(Some(file))),
        Err(fs::TryLockError::WouldBlock) => waiting(),
        Err(fs::TryLockError::Error(error)) => {
            return Err(Failure::because(format!("cannot lock {}", path.display()), error));
        }
    }
    file.lock().trying(|| format!("cannot lock {}", path.display()))?;
    Ok(Lock(Some(file)))
}

/// Takes the lock on `path` if nobody else has it; `None` when somebody has.
///
/// # Errors
/// The file cannot be made or locked.
pub fn try_lock(path: &Path) -> Result<Option<Lock>> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(Some(file)))),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(Failure::because(format!("cannot lock {}", path.display()), error)),
    }
}

/// Takes the lock on `path` together with others who share it, waiting for one who has it alone.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock_shared(path: &Path) -> Result<Lock> {
    let file = open_lock(path)?;
    file.lock_shared().trying(|| format!("cannot lock {}", path.display()))?;
    Ok(Lock(Some(file)))
}

/// Whether somebody holds a lock on `path` alone (flock(2)). Who asks does not stand in another's way.
///
/// # Errors
/// The file is there and cannot be opened.
pub fn is_locked(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Failure::because(format!("cannot open the lock {}", path.display()), error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(Failure::because(format!("cannot lock {}", path.display()), error)),
    }
}

/// Takes the one record lock on `path` (fcntl(2), F_SETLK) for as long as the file is kept and no other is opened on it.
///
/// # Errors
/// Another process has it, or the file cannot be made.
pub fn hold_record_lock(path: &Path) -> Result<File> {
    use nix::fcntl::{FcntlArg, fcntl};
    let file = open_lock(path)?;
    let lock =
        libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).trying(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The process that has a record lock on `path` (fcntl(2), F_GETLK), as the kernel knows it.
pub fn record_lock_holder(path: &Path) -> Option<u32> {
    use nix::fcntl::{FcntlArg, fcntl};
    let file = File::open(path).ok()?;
    let mut lock =
        libc::flock { l_type: libc::F_RDLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    let is_held = lock.l_type != libc::F_UNLCK as libc::c_short;
    u32::try_from(lock.l_pid).ok().filter(|pid| is_held && *pid > 0)
}

/// Bytes that this user can still write to the file system that holds `path` (statvfs(3)).
///
/// # Errors
/// There is no such path.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let facts = nix::sys::statvfs::statvfs(path).trying(|| format!("cannot look at the disk of {}", path.display()))?;
    // Their types differ between systems.
    #[allow(clippy::unnecessary_cast)]
    Ok(facts.blocks_available() as u64 * facts.fragment_size() as u64)
}

/// Size of the blocks that are left out when they are empty.
const SPARSE_BLOCK_BYTES: usize = 4096;

/// Writes a new file in which runs of zeroes take no room.
///
/// # Errors
/// The disk is full or the folder not writable.
pub fn write_sparse(path: &Path, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let written = (|| {
        let file = File::create(path)?;
        file.set_len(content.len() as u64)?;
        for (index, block) in content.chunks(SPARSE_BLOCK_BYTES).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, (index * SPARSE_BLOCK_BYTES) as u64)?;
            }
        }
        file.sync_all()
    })();
    written.trying(|| format!("cannot write {}", path.display()))
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .trying(|| format!("cannot open the lock {}", path.display()))
}

/// A failure that says `path` does not exist, of the kind that callers tell apart.
pub fn missing(path: &Path) -> Failure {
    Failure::new(format!("{} does not exist", path.display())).kind(Kind::NotFound)
}

/// Copies what is in the folder `from` into the folder `to`, with modes and, as far as allowed, owners; symlinks as
/// they are, special files not at all.
///
/// # Errors
/// Something cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, lchown, symlink};
    let entries = fs::read_dir(from).trying(|| format!("cannot read {}", from.display()))?;
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let trying = || format!("cannot copy {}", source.display());
        let facts = entry.metadata().trying(trying)?;
        if facts.is_dir() {
            fs::create_dir(&target).trying(trying)?;
            copy_tree(&source, &target)?;
        } else if facts.is_symlink() {
            fs::read_link(&source).and_then(|link| symlink(link, &target)).trying(trying)?;
        } else if facts.is_file() {
            fs::copy(&source, &target).trying(trying)?;
        } else {
            continue;
        }
        let _ = lchown(&target, Some(facts.uid()), Some(facts.gid()));
        if !facts.is_symlink() {
            // After the owner, whose change takes set-user-id away.
            fs::set_permissions(&target, facts.permissions()).trying(trying)?;
        }
    }
    Ok(())
}

/// Whether this process may write to `path` (access(2), with the effective ids).
pub fn is_writable(path: &Path) -> bool {
    use nix::fcntl::AtFlags;
    use nix::unistd::{AccessFlags, faccessat};
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
}

/// Whether `path` is absolute, and a folder that belongs to the user `uid`.
pub fn is_own_folder(path: &Path, uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.is_absolute() && fs::metadata(path).is_ok_and(|facts| facts.is_dir() && facts.uid() == uid)
}

/// Makes a folder that only its owner may enter.
///
/// # Errors
/// It exists and is somebody else's, or is no folder: then nothing in it can be trusted.
pub fn make_private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Failure::because(format!("cannot make the folder {}", path.display()), error));
        }
        _ => {}
    }
    let facts = fs::symlink_metadata(path).trying(|| format!("cannot look at {}", path.display()))?;
    if !facts.is_dir() || facts.uid() != nix::unistd::geteuid().as_raw() {
        return Err(Failure::new(format!("{} belongs to somebody else", path.display())));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .trying(|| format!("cannot set the permissions of {}", path.display()))
}

/// Bytes nobody can guess, from the kernel.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT]> {
    use std::io::Read;
    let mut bytes = [0; COUNT];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.trying(|| "cannot read /dev/urandom").map(|()| bytes)
}

//! The VM's disk: a sparse file that begins as the pack's empty file system and grows.

use crate::model::{Failure, Result, Trying};
use crate::sys::fs::{free_bytes, write_sparse};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// With less left on this computer's disk, a guest would soon stand still for want of room.
const LEAST_FREE_BYTES: u64 = 256 << 20;
/// Unit of `st_blocks`, stat(2).
const BLOCK_BYTES: u64 = 512;

/// Refuses to go on when the disk of `folder` is all but full.
///
/// # Errors
/// It is.
pub fn check_room(folder: &Path) -> Result<()> {
    let free_mb = free_bytes(folder)? >> 20;
    match free_mb >= LEAST_FREE_BYTES >> 20 {
        true => Ok(()),
        false => Err(Failure::new(format!("the disk that holds {} has only {free_mb} MB left", folder.display()))
            .hint(format!("the VM needs at least {} MB there to start", LEAST_FREE_BYTES >> 20))),
    }
}

/// Makes the disk at `disk` from `template` if there is none, and grows it to `wanted_bytes` if it is smaller. Gives the
/// size that it has then.
///
/// # Errors
/// This computer's disk is full or not writable.
pub fn prepare(template: &Path, disk: &Path, wanted_bytes: u64) -> Result<u64> {
    let trying = || format!("cannot make the disk {}", disk.display());
    if !disk.exists() {
        let unfinished = disk.with_extension("unfinished");
        let content = std::fs::read(template).trying(trying)?;
        write_sparse(&unfinished, &content).trying(trying)?;
        std::fs::rename(&unfinished, disk).trying(trying)?;
    }
    grow(disk, wanted_bytes)
}

/// Grows the file to `wanted_bytes`; a larger one keeps its size.
///
/// # Errors
/// The file system cannot hold a file of this size.
pub fn grow(disk: &Path, wanted_bytes: u64) -> Result<u64> {
    let size_bytes = std::fs::metadata(disk).trying(|| format!("cannot look at {}", disk.display()))?.len();
    if size_bytes >= wanted_bytes {
        return Ok(size_bytes);
    }
    let grown = File::options().write(true).open(disk).and_then(|file| file.set_len(wanted_bytes));
    grown.trying(|| format!("cannot grow {}", disk.display())).map(|()| wanted_bytes)
}

/// Size of the disk as the guest sees it, and what of this computer's it takes; `None` when there is none.
pub fn sizes(disk: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(disk).ok().map(|facts| (facts.len(), facts.blocks() * BLOCK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_sparse_grows_and_never_shrinks() {
        let folder = tempfile::tempdir().unwrap();
        let (template, disk) = (folder.path().join("t"), folder.path().join("d"));
        let mut content = vec![0; 1 << 20];
        content[5000] = 7;
        std::fs::write(&template, &content).unwrap();
        assert_eq!(prepare(&template, &disk, 3 << 20).unwrap(), 3 << 20);
        let (size, used) = sizes(&disk).unwrap();
        assert!(size == 3 << 20 && used < 64 << 10, "{used}");
        assert_eq!(std::fs::read(&disk).unwrap()[..1 << 20], content);
        assert_eq!(prepare(&template, &disk, 2 << 20).unwrap(), 3 << 20);
        assert_eq!(prepare(&template, &disk, 4 << 20).unwrap(), 4 << 20);
        assert!(check_room(folder.path()).is_ok());
    }
}

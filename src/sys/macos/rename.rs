//! Renames that check and act in one step, and the flush of a whole file system.

use nix::errno::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// rename(2) that fails with `EEXIST` where it would replace.
///
/// # Errors
/// As renameatx_np(2).
pub fn without_replacing(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> io::Result<()> {
    rename(from, name, to, new, libc::RENAME_EXCL)
}

/// Swaps two names in one step.
///
/// # Errors
/// As renameatx_np(2).
pub fn swapping(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> io::Result<()> {
    rename(from, name, to, new, libc::RENAME_SWAP)
}

/// Asks the system to write what is not on disk yet: there is no call for one file system.
///
/// # Errors
/// None.
pub fn sync_file_system(_: BorrowedFd<'_>) -> io::Result<()> {
    nix::unistd::sync();
    Ok(())
}

fn rename(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8], flags: u32) -> io::Result<()> {
    let (name, new) = (CString::new(name)?, CString::new(new)?);
    // SAFETY: both names end with NUL and live until the call returns; the descriptors are open.
    let code = unsafe { libc::renameatx_np(from.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), new.as_ptr(), flags) };
    Errno::result(code)?;
    Ok(())
}

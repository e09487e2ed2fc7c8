//! Renames that check and act in one step, and the flush of a whole file system.

use nix::errno::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// rename(2) that fails with `EEXIST` where it would replace.
///
/// # Errors
/// As renameat2(2).
pub fn without_replacing(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> io::Result<()> {
    rename(from, name, to, new, libc::RENAME_NOREPLACE)
}

/// Swaps two names in one step.
///
/// # Errors
/// As renameat2(2).
pub fn swapping(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> io::Result<()> {
    rename(from, name, to, new, libc::RENAME_EXCHANGE)
}

/// Writes everything of a file system that is not on disk yet.
///
/// # Errors
/// As syncfs(2).
pub fn sync_file_system(file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(nix::unistd::syncfs(file)?)
}

fn rename(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8], flags: u32) -> io::Result<()> {
    let (name, new) = (CString::new(name)?, CString::new(new)?);
    // SAFETY: both names end with NUL and live until the call returns; the descriptors are open. By number, since musl
    // has no function for it.
    let code = unsafe {
        libc::syscall(libc::SYS_renameat2, from.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), new.as_ptr(), flags)
    };
    Errno::result(code)?;
    Ok(())
}

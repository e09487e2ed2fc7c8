//! What a mounted ext4 file system is asked for (linux/ext4.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `EXT4_IOC_RESIZE_FS`, `_IOW('f', 16, __u64)`
const RESIZE: u64 = 0x4008_6610;

/// Enlarges the file system at `folder` to `size_bytes` while it is used. The same size again is fine.
///
/// # Errors
/// `EINVAL`: it is larger than that already. `EPERM`: it is damaged.
pub fn grow(folder: &Path, size_bytes: u64) -> io::Result<()> {
    let folder = File::open(folder)?;
    let blocks = size_bytes / u64::from(block_bytes(&folder)?);
    // SAFETY: the kernel reads one number of 64 bits.
    check(unsafe { libc::ioctl(folder.as_raw_fd(), RESIZE as _, &raw const blocks) })
}

fn block_bytes(folder: &File) -> io::Result<u32> {
    Ok(nix::sys::statfs::fstatfs(folder)?.block_size() as u32)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

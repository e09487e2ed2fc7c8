//! Unix sockets with paths of any length.

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::AcceptConn;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Socket addresses hold 107 bytes on Linux and 103 on macOS (`unix(7)`, `unix(4)`).
const LONGEST_PATH_BYTES: usize = 103;

/// Makes a socket at `path` and listens.
///
/// # Errors
/// `AddrInUse`: something is at the path. The name alone has more than 80 bytes.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (_folder, short) = shorten(path)?;
    UnixListener::bind(short)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// `NotFound`: no such file. `ConnectionRefused`: nobody listens any more.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_folder, short) = shorten(path)?;
    UnixStream::connect(short)
}

/// A name for `path` that fits: itself, or one through its opened folder where the system has such names.
fn shorten(path: &Path) -> io::Result<(Option<File>, PathBuf)> {
    if path.as_os_str().len() <= LONGEST_PATH_BYTES {
        return Ok((None, path.to_owned()));
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((Some(folder), short))
}

/// The listening socket that whoever started this process left at descriptor `number`.
///
/// # Errors
/// There is no listening unix socket at that number.
pub fn inherited_listener(number: i32) -> io::Result<UnixListener> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    // SAFETY: called once at the start by the one owner; the check below tells whether it is what it should be.
    let listener = unsafe { UnixListener::from_raw_fd(number) };
    let checked = getsockopt(&listener, AcceptConn).and_then(|listens| {
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(listens)
    });
    match checked {
        Ok(true) => Ok(listener),
        Ok(false) => Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen")),
        Err(error) => {
            // Not ours to close.
            std::mem::forget(listener);
            Err(error.into())
        }
    }
}

//! Who is at the other end of a unix socket.

pub use crate::sys::unix::{connect, inherited_listener, listen};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use std::io;
use std::os::fd::AsFd;

/// The user id of the process at the other end, as this process's user namespace numbers it.
///
/// # Errors
/// It is no unix socket.
pub fn get_peer_user(stream: impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(&stream, PeerCredentials)?.uid())
}

/// The process that last called `listen(2)` on the socket a connection was made to.
///
/// # Errors
/// It is no unix socket.
pub fn get_listening_process(stream: impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(&stream, PeerCredentials)?.pid().unsigned_abs())
}

/// The user id of this process, as its user namespace numbers it.
pub fn get_own_user() -> u32 {
    nix::unistd::getuid().as_raw()
}

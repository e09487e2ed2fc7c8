//! Bytes and descriptors over a unix socket (`unix(7)`, SCM_RIGHTS).

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How many descriptors one message can carry (`SCM_MAX_FD`, include/net/scm.h).
pub const DESCRIPTORS_A_MESSAGE: usize = 253;

/// Sends as much of `bytes` as fits and, with its first byte, `descriptors`: at most [`DESCRIPTORS_A_MESSAGE`].
/// Returns how many bytes went.
///
/// # Errors
/// As `sendmsg(2)`; nothing was sent then.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let to = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<()>(to, &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Reads bytes into `buffer` and appends the descriptors that came with them; 0 at the end.
///
/// # Errors
/// As `recvmsg(2)`.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut control = cmsg_space!([RawFd; DESCRIPTORS_A_MESSAGE]);
    let mut parts = [IoSliceMut::new(buffer)];
    let from = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(from, &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel just made these descriptors for us; nothing else knows them.
            descriptors.extend(raw.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok(message.bytes)
}

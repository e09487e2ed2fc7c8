//! What the kernel says when devices come, go or change (NETLINK_KOBJECT_UEVENT, netlink(7)).

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The kernel's own group; 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// `UEVENT_BUFFER_SIZE` of linux/kobject.h is 2,048, with a line before it.
const LONGEST_BYTES: usize = 4096;

/// The events from now on.
pub struct Events(OwnedFd);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `add`, `remove`, `change`, …
    pub action: String,
    /// Path below /sys.
    pub device: String,
}

impl Events {
    /// Begins to listen.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub fn open() -> io::Result<Events> {
        let kind = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, kind)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Events(socket))
    }

    /// Waits for the next one. `None`: some were lost, or one could not be read.
    ///
    /// # Errors
    /// The socket's.
    pub fn next(&self) -> io::Result<Option<Event>> {
        let mut buffer = [0; LONGEST_BYTES];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => return Ok(read(&buffer[..length])),
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::ENOBUFS) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// `ACTION@DEVICE`, a NUL, and more that is not needed.
fn read(message: &[u8]) -> Option<Event> {
    let line = std::str::from_utf8(message.split(|byte| *byte == 0).next()?).ok()?;
    let (action, device) = line.split_once('@')?;
    Some(Event { action: action.to_owned(), device: device.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_noise_is_not() {
        let found = read(b"change@/devices/pci0000:00/virtio2/block/vda\0ACTION=change\0RESIZE=1\0").unwrap();
        let device = "/devices/pci0000:00/virtio2/block/vda".to_owned();
        assert_eq!(found, Event { action: "change".into(), device });
        for noise in [&b""[..], b"libudev\0", b"\xff@\0"] {
            assert_eq!(read(noise), None);
        }
    }
}

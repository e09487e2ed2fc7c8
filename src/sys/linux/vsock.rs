//! Connections between a virtual machine and its host (vsock(7)), as the machine sees them.

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, VsockAddr, accept4, bind, listen, socket};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// Number of the kind of virtio device (virtio specification 1.2, section 5.10).
const VIRTIO_KIND: u32 = 19;

/// Whether this machine has the device.
pub fn is_there() -> bool {
    let devices = Path::new("/sys/bus/virtio/devices").read_dir().into_iter().flatten().flatten();
    devices.filter_map(|device| std::fs::read_to_string(device.path().join("device")).ok()).any(|kind| {
        let digits = kind.trim().trim_start_matches("0x");
        u32::from_str_radix(digits, 16) == Ok(VIRTIO_KIND)
    })
}

/// Takes connections.
pub struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Listens on `port`, whoever calls. To be called where a tokio runtime is.
    ///
    /// # Errors
    /// As bind(2); `EAFNOSUPPORT`: the kernel has no vsock.
    pub fn bind(port: u32, backlog: i32) -> io::Result<Listener> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let bound = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
        bind(bound.as_raw_fd(), &VsockAddr::new(libc::VMADDR_CID_ANY, port))?;
        listen(&bound, Backlog::new(backlog)?)?;
        // SAFETY: an OwnedFd has the same open descriptor until it is dropped, after the registration.
        Ok(Listener(unsafe { AsyncFd::register(bound) }?))
    }

    /// The next connection. It is read, written and shut down as a unix socket's.
    ///
    /// # Errors
    /// As accept(2).
    pub async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let mut ready = self.0.readable().await?;
            let accepted = ready.try_io(|listener| {
                let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
                let accepted = accept4(listener.get_ref().as_raw_fd(), flags)?;
                // SAFETY: the kernel just gave us this descriptor.
                Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
            });
            if let Ok(accepted) = accepted {
                return UnixStream::from_std(accepted?.into());
            }
        }
    }
}

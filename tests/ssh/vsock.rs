//! The guest's server on vsock, as under Virtualization.framework: a unix socket of the host leads there.
//!
//! Only where a kernel has connections of a machine to itself (the module `vsock_loopback`, vsock(7)).

use super::pair::Guest;
use super::streams::hello;
use devenv::machine::ssh::{Address, connect};
use devenv::machine::{Line, clock};
use devenv::model::far::Answer;
use devenv::sys::linux::vsock::Listener;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect as connect_to, socket};
use std::os::fd::AsRawFd;
use std::path::Path;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};

const PORT: u32 = 22;

/// As the framework does for each connection to its socket.
async fn lead(listener: UnixListener) {
    while let Ok((mut near, _)) = listener.accept().await {
        let far = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect_to(far.as_raw_fd(), &VsockAddr::new(libc::VMADDR_CID_LOCAL, PORT)).unwrap();
        let far = std::os::unix::net::UnixStream::from(far);
        far.set_nonblocking(true).unwrap();
        let mut far = UnixStream::from_std(far).unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
    }
}

#[tokio::test]
async fn the_guest_serves_on_vsock() {
    if !Path::new("/sys/module/vsock_loopback").exists() {
        eprintln!("not tried: this kernel has no vsock_loopback");
        return;
    }
    let guest = Guest::start().await;
    let listener = Listener::bind(PORT, 128).unwrap();
    let door = guest.door.clone();
    tokio::spawn(async move {
        while let Ok(accepted) = listener.accept().await {
            let door = door.clone();
            tokio::spawn(async move { door.serve(accepted, || ()).await });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.sock");
    tokio::spawn(lead(UnixListener::bind(&path).unwrap()));
    for _ in 0..3 {
        let line = connect(&Address::Unix(path.clone()), &guest.client_key, &guest.host_key).await.unwrap();
        assert!(matches!(hello(&mut line.open().await.unwrap()).await, Answer::Hello { .. }));
        clock::set(&line, None).await.unwrap();
    }
    eprintln!("tried over vsock");
}

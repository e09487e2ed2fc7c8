//! Sockets on any system: the options std has no words for.

use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

/// A TCP socket bound to `address` that does not listen yet; it does not block.
///
/// # Errors
/// As `bind(2)`.
pub fn bound_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = nonblocking(address, Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A UDP socket bound to `address`; it does not block.
///
/// # Errors
/// As `bind(2)`.
pub fn bound_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = nonblocking(address, Type::DGRAM)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn nonblocking(like: SocketAddr, kind: Type) -> io::Result<Socket> {
    let made = Socket::new(Domain::for_address(like), kind, None)?;
    made.set_nonblocking(true)?;
    if like.is_ipv6() {
        // An IPv6 address means IPv6 alone; IPv4 has sockets of its own.
        made.set_only_v6(true)?;
    }
    Ok(made)
}

/// Has `listener` listen with room for `backlog` connections nobody accepted yet; the kernel caps it.
///
/// # Errors
/// As `listen(2)`.
pub fn listen(listener: &impl AsFd, backlog: i32) -> io::Result<()> {
    SockRef::from(listener).listen(backlog)
}

/// Whether the socket is of TCP's kind rather than UDP's.
///
/// # Errors
/// It is no socket.
pub fn is_stream(socket: &impl AsFd) -> io::Result<bool> {
    Ok(SockRef::from(socket).r#type()? == Type::STREAM)
}

/// Has the socket reset its connection when it is closed, so that the other side sees an error rather than an end.
pub fn reset_on_close(socket: &impl AsFd) {
    // It can only fail on something that is no socket.
    let _ = SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
}

/// Lets this process open as many descriptors as it may at all (the hard limit); returns that number.
pub fn raise_descriptor_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    // macOS says there is no limit and then takes no more than this (OPEN_MAX, sys/syslimits.h).
    const MOST_ELSEWHERE: u64 = 10_240;
    let tries = [hard, MOST_ELSEWHERE.clamp(soft, hard)];
    tries.into_iter().find(|limit| setrlimit(Resource::RLIMIT_NOFILE, *limit, hard).is_ok()).unwrap_or(soft)
}

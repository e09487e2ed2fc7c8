//! Sockets: the options std has no words for.

use nix::cmsg_space;
use nix::sys::socket::sockopt::{IpTransparent, Ipv4OrigDstAddr, OriginalDst, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, connect,
    getsockopt, recvmsg, setsockopt, shutdown, socket,
};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A TCP socket that is not connected yet, of the family of `like`; it does not block.
///
/// # Errors
/// As `socket(2)`.
pub fn unconnected_tcp(like: SocketAddr) -> io::Result<TcpStream> {
    Ok(TcpStream::from(nonblocking(like, SockType::Stream)?))
}

/// A UDP socket connected to `address`; it does not block.
///
/// # Errors
/// As `connect(2)`.
pub fn connected_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = nonblocking(address, SockType::Datagram)?;
    connect_to(&socket, address)?;
    Ok(UdpSocket::from(socket))
}

fn nonblocking(like: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if like.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let made = socket(family, kind, flags, None)?;
    if like.is_ipv6() {
        // An IPv6 address means IPv6 alone; IPv4 has sockets of its own.
        setsockopt(&made, nix::sys::socket::sockopt::Ipv6V6Only, &true)?;
    }
    Ok(made)
}

fn bind_to(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) => bind(socket.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?,
    }
    Ok(())
}

fn connect_to(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) => connect(socket.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => connect(socket.as_raw_fd(), &SockaddrIn6::from(address))?,
    }
    Ok(())
}

/// Ends the sending half; the other side sees the end of the data.
///
/// # Errors
/// It is not connected any more.
pub fn end_sending(stream: impl AsFd) -> io::Result<()> {
    Ok(shutdown(stream.as_fd().as_raw_fd(), Shutdown::Write)?)
}

/// Where a connection that a packet rule redirected was going.
///
/// # Errors
/// It was not redirected.
pub fn original_destination(stream: impl AsFd) -> io::Result<SocketAddrV4> {
    Ok(address_of(getsockopt(&stream, OriginalDst)?))
}

fn address_of(raw: libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr)), u16::from_be(raw.sin_port))
}

/// A UDP socket on `port` for packets a rule steered here (`IP_TRANSPARENT`), which tells where each was going.
///
/// # Errors
/// As `bind(2)`; `EPERM` without CAP_NET_ADMIN over the namespace.
pub fn transparent_udp(port: u16) -> io::Result<UdpSocket> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let socket = nonblocking(any, SockType::Datagram)?;
    setsockopt(&socket, IpTransparent, &true)?;
    setsockopt(&socket, Ipv4OrigDstAddr, &true)?;
    bind_to(&socket, any)?;
    Ok(UdpSocket::from(socket))
}

/// A UDP socket that answers `client` as if it were `server`, an address of somewhere else.
///
/// # Errors
/// As [`transparent_udp`].
pub fn impersonating_udp(server: SocketAddrV4, client: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = nonblocking(server.into(), SockType::Datagram)?;
    setsockopt(&socket, IpTransparent, &true)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    bind_to(&socket, server.into())?;
    connect_to(&socket, client.into())?;
    Ok(UdpSocket::from(socket))
}

/// One datagram of a [`transparent_udp`] socket: its length, who sent it, where it was going.
///
/// # Errors
/// `WouldBlock` when there is none; `InvalidData` when the kernel does not tell its addresses.
pub fn receive_steered(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4, SocketAddrV4)> {
    let mut control = cmsg_space!(libc::sockaddr_in);
    let mut parts = [IoSliceMut::new(buffer)];
    let raw = socket.as_fd().as_raw_fd();
    let message = recvmsg::<SockaddrIn>(raw, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let server = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(raw) => Some(address_of(raw)),
        _ => None,
    });
    match (message.address, server) {
        (Some(client), Some(server)) => Ok((message.bytes, client.into(), server)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A datagram or a pending error of the socket, without waiting.
///
/// # Errors
/// `WouldBlock` when there is nothing; `ConnectionRefused` when one sent earlier found nobody.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::sys::socket::recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
}

/// How many descriptors programs started from here may have open: at first, and when they ask for more.
pub fn limit_descriptors(at_first: u64, at_most: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_NOFILE, at_first, at_most);
}

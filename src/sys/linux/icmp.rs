//! Echo messages of ICMP (RFC 792): those that arrive here for others, and those an ordinary user may send
//! (`icmp(7)`). std has no type for their sockets; its UDP socket does what all datagram sockets do.

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, connect, send, sendto, socket,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
/// `ICMP_FILTER` of `SOL_RAW` (`raw(7)`): a set bit keeps that type away.
const SOL_RAW: i32 = 255;
const ICMP_FILTER: i32 = 1;
const HEADER: usize = 8;

/// An echo request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    /// Identifier and sequence number, as they came.
    pub tag: [u8; 4],
    pub payload: Vec<u8>,
}

/// A socket that hears every echo request delivered to this namespace, and can answer in anybody's name.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW over the namespace.
pub fn hear_all() -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
    set_number(&socket, libc::IPPROTO_IP, libc::IP_HDRINCL, 1)?;
    set_number(&socket, SOL_RAW, ICMP_FILTER, !(1 << ECHO_REQUEST))?;
    Ok(UdpSocket::from(socket))
}

fn set_number(socket: &OwnedFd, level: i32, option: i32, value: u32) -> io::Result<()> {
    let size = size_of::<u32>() as u32;
    // SAFETY: both options take four bytes, which live through the call, and their size.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size) };
    nix::errno::Errno::result(set)?;
    Ok(())
}

/// A socket to ping `to` with.
///
/// # Errors
/// `EACCES`: this user may not ping (net.ipv4.ping_group_range).
pub fn ping(to: Ipv4Addr) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Icmp)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(to, 0)))?;
    Ok(UdpSocket::from(socket))
}

/// Sends the request on through a socket of [`ping`]; the kernel puts its own identifier in.
///
/// # Errors
/// As `send(2)`.
pub fn forward(socket: impl AsFd, echo: &Echo) -> io::Result<()> {
    send(socket.as_fd().as_raw_fd(), &message(ECHO_REQUEST, echo), MsgFlags::empty())?;
    Ok(())
}

/// Answers the request through a socket of [`hear_all`], in the name of whom it was sent to.
///
/// # Errors
/// As `sendto(2)`.
pub fn answer(socket: impl AsFd, echo: &Echo) -> io::Result<()> {
    // Version 4 and five words of header; 64 hops; ICMP. The kernel fills in length, number and checksum (`raw(7)`).
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
    packet.extend(echo.to.octets());
    packet.extend(echo.from.octets());
    packet.extend(message(ECHO_REPLY, echo));
    let to = SockaddrIn::from(SocketAddrV4::new(echo.from, 0));
    sendto(socket.as_fd().as_raw_fd(), &packet, &to, MsgFlags::empty())?;
    Ok(())
}

/// Reads a packet of [`hear_all`]: IPv4 header, ICMP header, payload.
pub fn read_request(packet: &[u8]) -> Option<Echo> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let icmp = packet.get(header..)?;
    if *icmp.first()? != ECHO_REQUEST {
        return None;
    }
    let tag = icmp.get(4..HEADER)?.try_into().ok()?;
    Some(Echo { from: address(12)?, to: address(16)?, tag, payload: icmp[HEADER..].to_vec() })
}

/// Whether a packet of [`ping`] is the reply to the request with this tag's sequence number.
pub fn is_reply(packet: &[u8], echo: &Echo) -> bool {
    packet.first() == Some(&ECHO_REPLY) && packet.get(6..HEADER) == Some(&echo.tag[2..])
}

fn message(kind: u8, echo: &Echo) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(echo.tag);
    message.extend(&echo.payload);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_its_checksum_is_right() {
        let echo = Echo {
            from: Ipv4Addr::new(10, 1, 0, 2),
            to: Ipv4Addr::new(192, 0, 2, 1),
            tag: [1, 2, 3, 4],
            payload: b"odd".to_vec(),
        };
        let mut packet = vec![0x45; 12];
        packet.extend([10, 1, 0, 2, 192, 0, 2, 1]);
        packet.extend(message(ECHO_REQUEST, &echo));
        assert_eq!(read_request(&packet), Some(echo.clone()));
        // Over a message with its checksum the sum is zero.
        assert_eq!(checksum(&packet[20..]), 0);
        assert!(is_reply(&message(ECHO_REPLY, &echo), &echo));
        for cut in 0..28 {
            assert_eq!(read_request(&packet[..cut]), None, "{cut}");
        }
    }
}

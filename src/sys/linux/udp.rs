//! Datagrams: to everybody, and of a connected socket with the news that nobody listened.

use super::socket;
use crate::sys::datagram::{SILENCE, with_room};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// A socket on `port` that sends to and hears everybody on `interface`, also before that has an address.
///
/// # Errors
/// There is no such interface, or the port is taken.
pub fn broadcaster(interface: &str, port: u16) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Ok(socket.into())
}

/// Waits for a datagram of `from`, or for the news that one sent before found nobody, which the kernel reports as an
/// error and not as something to read.
///
/// # Errors
/// `ConnectionRefused` then.
pub async fn receive<T>(from: &UdpSocket, take: impl Fn(&[u8]) -> T) -> io::Result<T> {
    loop {
        let ready = from.ready(Interest::READABLE | Interest::ERROR).await?;
        // One at a time: tokio takes a combination for "never ready" here.
        let interest = if ready.is_error() { Interest::ERROR } else { Interest::READABLE };
        let receive = || with_room(|room| socket::receive(from, room).map(|length| take(&room[..length])));
        let received = from.try_io(interest, receive);
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// Says `last`, and then what is heard, to the other end of a connected socket, and gives `answer` what it says, until
/// neither has said anything for a while. False: nobody listened there, as the answer to a datagram was an error; `last`
/// is what was said last, for somebody else to hear.
///
/// # Errors
/// The first datagram cannot be sent.
pub async fn converse(
    other: &UdpSocket,
    last: &mut Vec<u8>,
    heard: &mut Receiver<Vec<u8>>,
    answer: impl Fn(&[u8]),
) -> io::Result<bool> {
    other.send(last).await?;
    loop {
        tokio::select! {
            said = timeout(SILENCE, heard.recv()) => {
                let Ok(Some(datagram)) = said else { return Ok(true) };
                *last = datagram;
                if other.send(last).await.is_err() {
                    return Ok(false);
                }
            }
            answered = receive(other, &answer) => {
                if answered.is_err() {
                    return Ok(false);
                }
            }
        }
    }
}

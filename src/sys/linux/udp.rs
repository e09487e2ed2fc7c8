//! Datagrams of a connected socket, and the news that nobody listened.

use super::socket;
use crate::sys::datagram::with_room;
use std::io;
use tokio::io::Interest;
use tokio::net::UdpSocket;

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

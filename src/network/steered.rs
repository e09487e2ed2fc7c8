//! The socket that packet rules steer datagrams to.

use crate::sys::datagram::with_room;
use crate::sys::linux::socket;
use std::io;
use std::net::SocketAddrV4;
use tokio::io::Interest;
use tokio::net::UdpSocket;

pub struct SteeredSocket(UdpSocket);

impl SteeredSocket {
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<SteeredSocket> {
        Ok(SteeredSocket(UdpSocket::from_std(socket)?))
    }

    /// Waits for a datagram and gives `take` the box's socket that sent it, where it was going, and its content.
    ///
    /// # Errors
    /// As `recvmsg(2)`.
    pub async fn receive<T>(&self, take: impl Fn(SocketAddrV4, SocketAddrV4, &[u8]) -> T) -> io::Result<T> {
        let receive = || {
            with_room(|room| {
                let (length, client, server) = socket::receive_steered(&self.0, room)?;
                Ok(take(client, server, &room[..length]))
            })
        };
        self.0.async_io(Interest::READABLE, receive).await
    }
}

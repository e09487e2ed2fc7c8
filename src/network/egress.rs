//! The way out: connections and datagrams of boxes to anywhere else, carried on from the host's own namespace.

use super::datagram::pass;
use super::relay::{self, Pipes};
use super::steered::SteeredSocket;
use super::visit::visit;
use crate::sys::accept::accept_each;
use crate::sys::datagram::Conversations;
use crate::sys::linux::netns::{Namespace, Visitor};
use crate::sys::linux::nft::Network;
use crate::sys::linux::socket;
use crate::sys::socket::reset_on_close;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

/// Conversations of datagrams that get no answer end sooner than streams (nf_conntrack_udp_timeout and _stream).
const SILENCE_UNANSWERED: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(120);

/// Whether a box may reach `address` through the host: everything but what the host itself understands as "me by
/// loopback", the project's own network, and addresses of no single computer.
pub fn may_reach(address: Ipv4Addr, inside: Network) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(inside.prefix)).unwrap_or(0);
    let own = u32::from(address) & mask == u32::from(inside.address);
    // 0.0.0.0/8 means "this host" (RFC 1122, section 3.2.1.3): Linux takes 0.0.0.0 for loopback.
    !(own || address.is_loopback() || address.octets()[0] == 0 || address.is_multicast() || address.is_broadcast())
}

/// Serves the listener that packet rules redirect connections to, until dropped.
pub async fn serve_tcp(listener: TcpListener, inside: Network, pipes: Pipes) {
    accept_each(&listener, |from_box, _| {
        let pipes = pipes.clone();
        async move {
            match connect_onward(&from_box, inside).await {
                Ok(outward) => relay::join(from_box, outward, &pipes).await,
                Err(_) => reset_on_close(&from_box),
            }
        }
    })
    .await;
}

/// Serves a listener that leads to `port` of this computer's loopback, until dropped.
pub async fn serve_loopback(listener: TcpListener, port: u16, pipes: Pipes) {
    accept_each(&listener, |from_box, _| {
        let pipes = pipes.clone();
        async move {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                Ok(onward) => relay::join(from_box, onward, &pipes).await,
                Err(_) => reset_on_close(&from_box),
            }
        }
    })
    .await;
}

async fn connect_onward(from_box: &TcpStream, inside: Network) -> io::Result<TcpStream> {
    let destination = socket::original_destination(from_box)?;
    if !may_reach(*destination.ip(), inside) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    TcpStream::connect(SocketAddr::V4(destination)).await
}

/// Who talks with whom: a box's socket, and somebody outside.
type Pair = (SocketAddrV4, SocketAddrV4);

/// Serves the socket that packet rules steer datagrams to, until dropped.
pub async fn serve_udp(steered: SteeredSocket, inside: Network, visitor: Visitor, router: Namespace) {
    let conversations: Conversations<Pair> = Conversations::default();
    loop {
        let said = steered.receive(|client, server, datagram| {
            if may_reach(*server.ip(), inside) {
                Some(((client, server), conversations.say((client, server), datagram)?))
            } else {
                None
            }
        });
        if let Ok(Some((pair, heard))) = said.await {
            let (visitor, router, conversations) = (visitor.clone(), router.clone(), conversations.clone());
            tokio::spawn(async move {
                let _ = converse(pair, heard, &visitor, &router).await;
                conversations.forget(pair);
            });
        }
    }
}

/// Carries one conversation. Once the impersonating socket exists the kernel gives it the box's further datagrams.
async fn converse(
    (client, server): Pair,
    mut heard: Receiver<Vec<u8>>,
    visitor: &Visitor,
    router: &Namespace,
) -> io::Result<()> {
    let outward = UdpSocket::from_std(socket::connected_udp(server.into())?)?;
    let toward_box = visit(visitor, router, move || socket::impersonating_udp(server, client)).await?;
    let toward_box = UdpSocket::from_std(toward_box)?;
    let mut silence = SILENCE_UNANSWERED;
    loop {
        let deadline = Instant::now() + silence;
        tokio::select! {
            said = timeout_at(deadline, heard.recv()) => {
                let Ok(Some(datagram)) = said else { return Ok(()) };
                outward.send(&datagram).await?;
            }
            said = pass(&toward_box, |datagram| outward.try_send(datagram)) => said?,
            answered = pass(&outward, |datagram| toward_box.try_send(datagram)) => {
                answered?;
                silence = SILENCE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_the_own_network_are_out_of_reach() {
        let inside = Network { address: Ipv4Addr::new(10, 7, 4, 0), prefix: 22 };
        for refused in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.7.4.1", "10.7.7.255", "224.0.0.251"] {
            assert!(!may_reach(refused.parse().unwrap(), inside), "{refused}");
        }
        for allowed in ["10.7.8.1", "10.7.3.255", "192.168.1.1", "1.1.1.1"] {
            assert!(may_reach(allowed.parse().unwrap(), inside), "{allowed}");
        }
    }
}

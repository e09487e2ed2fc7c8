//! UDP: conversations, each with two sockets of its own, that end when nothing is said for a while.

use super::ingress::Target;
use super::visit::visit;
use crate::sys::datagram::{Conversations, SILENCE, with_room};
use crate::sys::linux::socket;
use crate::sys::linux::udp::receive;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

/// Waits for a datagram of `from` and gives it to `pass_on`, which sends it without waiting: when the next socket is
/// full a datagram is lost, as UDP may.
///
/// # Errors
/// Of receiving: an earlier datagram was refused (`ECONNREFUSED`).
pub async fn pass(from: &UdpSocket, pass_on: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    receive(from, |datagram| drop(pass_on(datagram))).await
}

/// Serves a UDP port of the host until dropped.
pub async fn serve(listener: Arc<UdpSocket>, target: Target) {
    let conversations = Conversations::default();
    while listener.readable().await.is_ok() {
        let said = with_room(|room| {
            let (length, client) = listener.try_recv_from(room).ok()?;
            Some((client, conversations.say(client, &room[..length])?))
        });
        consume_budget().await;
        if let Some((client, heard)) = said {
            let (listener, target, conversations) = (listener.clone(), target.clone(), conversations.clone());
            tokio::spawn(async move {
                let _ = converse(&listener, client, &target, heard).await;
                conversations.forget(client);
            });
        }
    }
}

/// Carries one client's datagrams into the box and the answers back. A candidate where nobody listens answers the
/// first datagram with an error; the next candidate gets that datagram again.
async fn converse(
    listener: &UdpSocket,
    client: SocketAddr,
    target: &Target,
    mut heard: Receiver<Vec<u8>>,
) -> io::Result<()> {
    let Some(mut last) = heard.recv().await else { return Ok(()) };
    for candidate in target.candidates() {
        let made = visit(&target.visitor, &target.namespace, move || socket::connected_udp(candidate)).await;
        let Ok(made) = made else { continue };
        let into_box = UdpSocket::from_std(made)?;
        into_box.send(&last).await?;
        loop {
            tokio::select! {
                said = timeout(SILENCE, heard.recv()) => {
                    let Ok(Some(datagram)) = said else { return Ok(()) };
                    last = datagram;
                    if into_box.send(&last).await.is_err() { break; }
                }
                answered = pass(&into_box, |answer| listener.try_send_to(answer, client)) => {
                    if answered.is_err() { break; }
                }
            }
        }
    }
    Ok(())
}

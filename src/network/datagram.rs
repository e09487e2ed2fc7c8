//! UDP: conversations, each with two sockets of its own, that end when nothing is said for a while.

use super::ingress::Target;
use super::visit::visit;
use crate::sys::datagram;
use crate::sys::linux::{socket, udp};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;

/// Waits for a datagram of `from` and gives it to `pass_on`, which sends it without waiting: when the next socket is
/// full a datagram is lost, as UDP may.
///
/// # Errors
/// Of receiving: an earlier datagram was refused (`ECONNREFUSED`).
pub async fn pass(from: &UdpSocket, pass_on: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    udp::receive(from, |datagram| drop(pass_on(datagram))).await
}

/// Serves a UDP port of the host until dropped; its conversations end with it.
pub async fn serve(listener: Arc<UdpSocket>, target: Target) {
    let socket = listener.clone();
    datagram::serve(listener, move |client, heard| converse(socket.clone(), client, target.clone(), heard)).await;
}

/// Carries one client's datagrams to the first candidate in the box where somebody listens, and the answers back.
async fn converse(
    listener: Arc<UdpSocket>,
    client: SocketAddr,
    target: Target,
    mut heard: Receiver<Vec<u8>>,
) -> io::Result<()> {
    let Some(mut last) = heard.recv().await else { return Ok(()) };
    for candidate in target.candidates() {
        let made = visit(&target.visitor, &target.namespace, move || socket::connected_udp(candidate)).await;
        let Ok(made) = made else { continue };
        let answer = |answer: &[u8]| drop(listener.try_send_to(answer, client));
        if udp::converse(&UdpSocket::from_std(made)?, &mut last, &mut heard, answer).await? {
            break;
        }
    }
    Ok(())
}

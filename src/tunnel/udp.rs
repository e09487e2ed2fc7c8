//! UDP through a tunnel: a stream for each sender.

use super::Target;
use crate::model::Protocol;
use crate::sys::datagram::{self, SILENCE, hear_framed, speak_framed};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Serves a socket until dropped; its conversations end with it.
pub async fn serve(listener: Arc<UdpSocket>, target: Target) {
    let socket = listener.clone();
    datagram::serve(listener, move |client, heard| converse(socket.clone(), client, target.clone(), heard)).await;
}

/// Carries one client's datagrams to the box and the answers back, until neither has said anything for a while or the
/// far side is gone.
async fn converse(
    listener: Arc<UdpSocket>,
    client: SocketAddr,
    target: Target,
    mut heard: Receiver<Vec<u8>>,
) -> io::Result<()> {
    let stream = target.connect(Protocol::Udp).await.map_err(io::Error::other)?;
    let (answers, to_box) = tokio::io::split(stream);
    let (mut answers, to_box) = (hear_framed(answers), speak_framed(to_box));
    loop {
        tokio::select! {
            said = timeout(SILENCE, heard.recv()) => match said {
                Ok(Some(datagram)) => drop(to_box.try_send(datagram)),
                _ => return Ok(()),
            },
            answer = answers.recv() => match answer {
                // When the socket is full a datagram is lost, as UDP may.
                Some(answer) => drop(listener.try_send_to(&answer, client)),
                None => return Ok(()),
            },
        }
    }
}

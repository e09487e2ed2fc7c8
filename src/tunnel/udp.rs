//! UDP through a tunnel: a stream for each sender.

use super::Target;
use crate::model::Protocol;
use crate::sys::datagram::{Conversations, SILENCE, hear_framed, speak_framed, with_room};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

/// Serves a socket until dropped; its conversations end with it.
pub async fn serve(listener: Arc<UdpSocket>, target: Target) {
    let conversations = Conversations::default();
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            readable = listener.readable() => if readable.is_err() { return },
            Some(_) = open.join_next() => continue,
        }
        let said = with_room(|room| {
            let (length, client) = listener.try_recv_from(room).ok()?;
            Some((client, conversations.say(client, &room[..length])?))
        });
        consume_budget().await;
        if let Some((client, heard)) = said {
            let (listener, target, conversations) = (listener.clone(), target.clone(), conversations.clone());
            open.spawn(async move {
                // The far side is gone, or silent: the next datagram begins anew.
                let _ = converse(&listener, client, &target, heard).await;
                conversations.forget(client);
            });
        }
    }
}

/// Carries one client's datagrams to the box and the answers back, until neither has said anything for a while.
async fn converse(
    listener: &UdpSocket,
    client: SocketAddr,
    target: &Target,
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

//! A connection into a box for somebody elsewhere.

use crate::model::{BoxName, Failure, ProjectId, Protocol, Result};
use crate::ops::here;
use crate::sys::datagram::{hear_framed, speak_framed};
use crate::sys::linux::udp;
use crate::sys::relay;
use crate::sys::stream::Stream;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use tokio::sync::Semaphore;

/// Questions to keepers at a time: each takes a thread, and a keeper answers one after the other anyway.
static ASKING: Semaphore = Semaphore::const_new(32);

/// Sockets of a box's port: one that is connected (TCP), or those to be tried in turn (UDP).
///
/// # Errors
/// The box does not run, or nobody listens there.
pub async fn open(project: ProjectId, name: BoxName, protocol: Protocol, port: u16) -> Result<Vec<OwnedFd>> {
    // It is never closed.
    let _turn = ASKING.acquire().await;
    let asked = tokio::task::spawn_blocking(move || here::open_connection(&project, &name, protocol, port));
    asked.await.unwrap_or_else(|_| Err(Failure::new("asking the keeper was cut short")))
}

/// Carries what is said on `stream` until both sides have ended.
///
/// # Errors
/// The stream is over.
pub async fn carry(stream: Stream, protocol: Protocol, mut sockets: Vec<OwnedFd>) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => {
            let socket = TcpStream::from(sockets.swap_remove(0));
            relay::join(tokio::net::TcpStream::from_std(socket)?, stream).await
        }
        Protocol::Udp => converse(stream, sockets).await,
    }
}

/// Carries datagrams of `stream` to the first of `sockets` where somebody listens, and the answers back.
async fn converse(stream: Stream, sockets: Vec<OwnedFd>) -> io::Result<()> {
    let (said, answers) = tokio::io::split(stream);
    let (mut heard, answers) = (hear_framed(said), speak_framed(answers));
    let Some(mut last) = heard.recv().await else { return Ok(()) };
    for socket in sockets {
        let into_box = tokio::net::UdpSocket::from_std(UdpSocket::from(socket))?;
        let answer = |answer: &[u8]| drop(answers.try_send(answer.to_vec()));
        if udp::converse(&into_box, &mut last, &mut heard, answer).await? {
            break;
        }
    }
    Ok(())
}

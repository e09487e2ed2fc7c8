//! UDP: conversations, each with two sockets of its own, that end when nothing is said for a while.

use super::ingress::Target;
use super::visit::visit;
use crate::sys::linux::socket;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

/// A conversation ends after this silence: what Linux's own connection tracking gives a UDP stream
/// (nf_conntrack_udp_timeout_stream).
const SILENCE: Duration = Duration::from_secs(120);
/// The largest datagram of UDP over IPv4.
const LARGEST: usize = 65_507;
/// Conversations of one port, and datagrams waiting in one: more are dropped, as UDP may.
const CONVERSATIONS: usize = 2_048;
const WAITING: usize = 64;

thread_local! {
    /// Holds a datagram while it is passed on: one for all sockets, so that a quiet conversation costs no memory.
    static PASSING: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST]);
}

/// Does `work` with room for a datagram. `work` does not wait, so nobody else uses the room meanwhile.
pub fn with_room<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    PASSING.with_borrow_mut(|room| work(room))
}

/// Waits for a datagram of `from` and gives it to `pass_on`, which sends it without waiting: when the next socket is
/// full a datagram is lost, as UDP may.
///
/// # Errors
/// Of receiving: an earlier datagram was refused (`ECONNREFUSED`).
pub async fn pass(from: &UdpSocket, pass_on: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    receive(from, |datagram| drop(pass_on(datagram))).await
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

/// Conversations by who has them.
pub struct Conversations<K>(Arc<Mutex<HashMap<K, Sender<Vec<u8>>>>>);

impl<K> Clone for Conversations<K> {
    fn clone(&self) -> Self {
        Conversations(self.0.clone())
    }
}

impl<K> Default for Conversations<K> {
    fn default() -> Self {
        Conversations(Arc::default())
    }
}

impl<K: Eq + Hash + Copy + Send + 'static> Conversations<K> {
    /// Gives `datagram` to the conversation of `key`. A new one is returned as the end that hears what was said; the
    /// caller starts it and calls [`Conversations::forget`] at its end.
    pub fn say(&self, key: K, datagram: &[u8]) -> Option<Receiver<Vec<u8>>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = open.get(&key) {
            let _ = sender.try_send(datagram.to_vec());
            return None;
        }
        if open.len() >= CONVERSATIONS {
            return None;
        }
        let (sender, receiver) = channel(WAITING);
        let _ = sender.try_send(datagram.to_vec());
        open.insert(key, sender);
        Some(receiver)
    }

    pub fn forget(&self, key: K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
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

//! UDP: who talks with whom, and datagrams on a stream of bytes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;

/// A conversation ends after this silence: what Linux's own connection tracking gives a UDP stream
/// (nf_conntrack_udp_timeout_stream).
pub const SILENCE: Duration = Duration::from_secs(120);
/// The largest datagram of UDP over IPv4.
pub const LARGEST: usize = 65_507;
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

/// Serves `listener` until dropped, and its conversations with it. `converse` gets who begins one and what they say; how it
/// ends is nobody's business: the next datagram begins anew.
pub async fn serve<C>(listener: Arc<UdpSocket>, converse: impl Fn(SocketAddr, Receiver<Vec<u8>>) -> C)
where
    C: Future<Output = io::Result<()>> + Send + 'static,
{
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
            let (conversation, conversations) = (converse(client, heard), conversations.clone());
            open.spawn(async move {
                let _ = conversation.await;
                conversations.forget(client);
            });
        }
    }
}

/// Reads a datagram of a stream: two bytes of length (big-endian) and the content. `None`: the stream has ended.
///
/// # Errors
/// The stream broke, or ended within a datagram.
pub async fn read_framed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut datagram = vec![0; usize::from(length)];
    stream.read_exact(&mut datagram).await?;
    Ok(Some(datagram))
}

/// Writes a datagram to a stream, as [`read_framed`] reads it.
///
/// # Errors
/// The stream broke; `InvalidInput`: it is longer than a datagram can be.
pub async fn write_framed(stream: &mut (impl AsyncWrite + Unpin), datagram: &[u8]) -> io::Result<()> {
    let length = u16::try_from(datagram.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], datagram].concat()).await?;
    stream.flush().await
}

/// Has every datagram of `stream` heard at the end that is returned, in the order it came; as many wait as may.
pub fn hear_framed(mut stream: impl AsyncRead + Send + Unpin + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel(WAITING);
    tokio::spawn(async move {
        loop {
            let read = tokio::select! {
                () = sender.closed() => return,
                read = read_framed(&mut stream) => read,
            };
            let Ok(Some(datagram)) = read else { return };
            if sender.send(datagram).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Has every datagram that is given to the end that is returned said on `stream`. Nobody who talks in both directions
/// waits for this: where it is full a datagram is lost, as UDP may.
pub fn speak_framed(mut stream: impl AsyncWrite + Send + Unpin + 'static) -> Sender<Vec<u8>> {
    let (sender, mut receiver) = channel::<Vec<u8>>(WAITING);
    tokio::spawn(async move {
        while let Some(datagram) = receiver.recv().await {
            if write_framed(&mut stream, &datagram).await.is_err() {
                return;
            }
        }
        // The other side may be gone already.
        let _ = stream.shutdown().await;
    });
    sender
}

//! Asking other name servers, with the question and the answer passed through as they are.

use crate::sys::linux::socket;
use crate::sys::linux::udp::receive;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long all of them have together: what a resolver library waits for one server (`resolv.conf(5)`, timeout).
const PATIENCE: Duration = Duration::from_secs(5);
/// When a server has not answered for this long the next one is asked as well.
const HEAD_START: Duration = Duration::from_secs(1);
/// Response codes with which a server says that it could not answer (RFC 1035, section 4.1.1): SERVFAIL, REFUSED.
const UNABLE: [u8; 2] = [2, 5];
/// Header of a message; shorter ones are none.
const HEADER_BYTES: usize = 12;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub enum Transport {
    Udp,
    Tcp,
}

type Asking = Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send>>;

/// The first usable answer of `servers`, in their order with a head start each; an answer that says "unable" only
/// when no other comes. `None`: nobody answered in time.
pub async fn ask(servers: Vec<SocketAddr>, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = servers.into_iter();
    let mut asked: JoinSet<io::Result<Vec<u8>>> = JoinSet::new();
    let mut unable = None;
    let mut next_start = Instant::now();
    loop {
        if Instant::now() >= next_start || asked.is_empty() {
            match waiting.next() {
                Some(server) => {
                    asked.spawn(ask_one(server, question.to_vec(), transport));
                    next_start = Instant::now() + HEAD_START;
                }
                None if asked.is_empty() => return unable,
                None => next_start = deadline,
            }
        }
        tokio::select! {
            () = sleep_until(deadline) => return unable,
            () = sleep_until(next_start) => {}
            Some(answer) = asked.join_next() => match answer {
                Ok(Ok(answer)) if UNABLE.contains(&(answer[3] & 0x0f)) => {
                    unable = Some(answer);
                    next_start = Instant::now();
                }
                Ok(Ok(answer)) => return Some(answer),
                _ => next_start = Instant::now(),
            },
        }
    }
}

fn ask_one(server: SocketAddr, question: Vec<u8>, transport: Transport) -> Asking {
    match transport {
        Transport::Udp => Box::pin(ask_by_udp(server, question)),
        Transport::Tcp => Box::pin(ask_by_tcp(server, question)),
    }
}

/// The kernel gives the socket a port of its own by chance, and only `server` can answer to it.
async fn ask_by_udp(server: SocketAddr, question: Vec<u8>) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::from_std(socket::connected_udp(server)?)?;
    socket.send(&question).await?;
    loop {
        let answer = receive(&socket, <[u8]>::to_vec).await?;
        if belongs(&question, &answer) {
            return Ok(answer);
        }
    }
}

async fn ask_by_tcp(server: SocketAddr, question: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, &question).await?;
    let answer = read_framed(&mut stream).await?;
    if belongs(&question, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether `answer` is one to `question`: the same number, and marked as an answer.
fn belongs(question: &[u8], answer: &[u8]) -> bool {
    answer.len() >= HEADER_BYTES
        && question.len() >= HEADER_BYTES
        && answer[..2] == question[..2]
        && answer[2] & 0x80 != 0
}

/// A message over TCP has its length before it (RFC 1035, section 4.2.2).
///
/// # Errors
/// The connection's.
pub async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// # Errors
/// The connection's; its end, too.
pub async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    let deadline = Instant::now() + PATIENCE;
    timeout_at(deadline, stream.read_exact(&mut message)).await??;
    Ok(message)
}

//! The name server boxes ask, on the router's address.

use super::names::{Names, Verdict, fail};
use super::resolvers::Resolvers;
use super::upstream::{self, Transport, read_framed, write_framed};
use crate::sys::accept::accept_each;
use hickory_proto::op::Message;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions over UDP are short: one name, and EDNS options.
const LONGEST_QUESTION: usize = 4096;
/// Questions being forwarded at the same time; more are dropped, and asked again by who wants to know.
const FORWARDED_AT_ONCE: usize = 512;
/// An idle connection is closed after this (RFC 7766, section 6.2.3, says "of the order of a few seconds").
const IDLE: Duration = Duration::from_secs(10);

/// What the name server knows, and whom it asks.
#[derive(Clone)]
pub struct NameServer {
    pub names: Arc<RwLock<Names>>,
    pub resolvers: Arc<Resolvers>,
}

impl NameServer {
    /// The answer to `question`; `None` when it is no question at all.
    async fn answer(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let parsed = Message::from_vec(question).ok()?;
        let verdict = self.names.read().unwrap_or_else(PoisonError::into_inner).answer(&parsed);
        if let Verdict::Answer(answer) = verdict {
            return answer.to_vec().ok();
        }
        match upstream::ask(self.resolvers.current(), question, transport).await {
            Some(answer) => Some(answer),
            None => fail(&parsed).to_vec().ok(),
        }
    }

    /// Answers datagrams until dropped.
    pub async fn serve_udp(self, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let room = Arc::new(Semaphore::new(FORWARDED_AT_ONCE));
        let mut buffer = vec![0; LONGEST_QUESTION];
        loop {
            // An error is about an answer nobody wanted any more.
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            let Ok(permit) = room.clone().try_acquire_owned() else { continue };
            let (question, server, socket) = (buffer[..length].to_vec(), self.clone(), socket.clone());
            tokio::spawn(async move {
                if let Some(answer) = server.answer(&question, Transport::Udp).await {
                    let _ = socket.send_to(&answer, client).await;
                }
                drop(permit);
            });
        }
    }

    /// Answers connections until dropped.
    pub async fn serve_tcp(self, listener: TcpListener) {
        accept_each(&listener, |mut stream, _| {
            let server = self.clone();
            async move { while server.answer_next(&mut stream).await.is_some() {} }
        })
        .await;
    }

    async fn answer_next(&self, stream: &mut TcpStream) -> Option<()> {
        let question = timeout(IDLE, read_framed(stream)).await.ok()?.ok()?;
        let answer = self.answer(&question, Transport::Tcp).await?;
        write_framed(stream, &answer).await.ok()
    }
}

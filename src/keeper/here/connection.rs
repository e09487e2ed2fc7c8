//! One connection at the keeper's socket: JSON lines, and descriptors that travel with them.

use crate::model::wire::{KeeperReply, KeeperRequest};
use crate::model::{Failure, Result, Trying};
use crate::ops::here::supervise::{Answer, Supervision, fail};
use crate::sys::linux::descriptors::{self, DESCRIPTORS_A_MESSAGE};
use crate::sys::linux::unix;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// The longest line taken: a plan of a thousand boxes with a hundred ports each is below it.
const LONGEST_LINE_BYTES: usize = 32 << 20;

pub struct Connection {
    stream: UnixStream,
    /// What was read beyond the last line.
    unread: Vec<u8>,
    received: Vec<OwnedFd>,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Connection {
        Connection { stream, unread: Vec::new(), received: Vec::new() }
    }

    /// Answers requests until the other side ends. `quit` is told when it asks for the end of all.
    ///
    /// # Errors
    /// The other side is another user, or the connection breaks.
    pub async fn serve(mut self, supervision: &Supervision, quit: &Notify) -> Result<()> {
        let user = unix::get_peer_user(&self.stream).trying(|| "cannot tell who asks")?;
        if user != unix::get_own_user() {
            return Err(Failure::new(format!("user {user} asked; only our own user may")));
        }
        while let Some(line) = self.read_line().await.trying(|| "cannot read a request")? {
            let descriptors = std::mem::take(&mut self.received);
            let answer = match serde_json::from_slice::<KeeperRequest>(&line) {
                Ok(request) => supervision.answer(request, descriptors).await,
                Err(error) => {
                    let failure = Failure::because("the keeper does not understand the request", error);
                    Answer { reply: fail(&failure), descriptors: Vec::new() }
                }
            };
            self.send(&answer).await.trying(|| "cannot send an answer")?;
            if answer.reply == KeeperReply::Quitting {
                quit.notify_one();
            }
        }
        Ok(())
    }

    /// The next line without its end; `None` when the other side has ended.
    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.unread.len();
            if searched > LONGEST_LINE_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let (stream, received) = (&self.stream, &mut self.received);
            let mut buffer = [0; 4096];
            let receive = || descriptors::receive(stream, &mut buffer, received);
            let length = stream.async_io(Interest::READABLE, receive).await?;
            if length == 0 {
                return Ok(None);
            }
            self.unread.extend_from_slice(&buffer[..length]);
        }
    }

    /// Sends the reply; each message can carry only so many descriptors, so the line is cut for them.
    async fn send(&self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(&answer.reply)?;
        line.push(b'\n');
        let mut rest = &line[..];
        let mut groups: Vec<&[OwnedFd]> = answer.descriptors.chunks(DESCRIPTORS_A_MESSAGE).collect();
        groups.reverse();
        while !rest.is_empty() {
            let group: Vec<_> = groups.pop().unwrap_or(&[]).iter().map(AsFd::as_fd).collect();
            // A byte for each group that has to follow, else all of it.
            let length = if groups.is_empty() { rest.len() } else { 1 };
            let send = || descriptors::send(&self.stream, &rest[..length], &group);
            let sent = self.stream.async_io(Interest::WRITABLE, send).await?;
            rest = &rest[sent..];
        }
        Ok(())
    }
}

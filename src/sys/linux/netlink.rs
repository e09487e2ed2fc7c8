//! Netlink (`netlink(7)`): requests built as bytes, sent, and their acknowledgements read.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};

/// `NLM_F_REQUEST`: every message a program sends has it.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`: answer also when all went well.
pub const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_CREATE | NLM_F_EXCL`: make it; an existing one is an error.
pub const CREATE_NEW: u16 = 0x600;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: behind those that are there.
pub const APPEND: u16 = 0x800;
/// `NLM_F_DUMP`: all of them.
pub const DUMP: u16 = 0x300;

/// `NLMSG_ERROR`: an acknowledgement; its first four bytes are an error number, zero when all went well.
const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: end of a dump.
const KIND_DONE: u16 = 3;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 0x8000;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A request under construction: `struct nlmsghdr`, a fixed part, attributes. All parts are aligned to 4 bytes.
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message of the given kind (`RTM_…`, `NFT_MSG_…`) and flags besides "request".
    pub fn new(kind: u16, flags: u16) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        Message(bytes)
    }

    /// Adds a fixed part.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Message {
        // Four bytes of header; callers pass names and addresses, far below 64 KiB.
        self.0.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    /// Adds a text attribute, ended by a zero byte as the kernel wants it.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Message {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute that holds what `fill` adds.
    #[must_use]
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.0.len() - start) as u16;
        filled.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// A netlink socket. It belongs to the network namespace of the thread that opened it.
pub struct Netlink(ManuallyDrop<OwnedFd>);

impl Drop for Netlink {
    /// Closes the socket in a thread of its own: the kernel waits for an RCU grace period there, and for nftables to
    /// let go of what was replaced (4 to 50 ms measured), while nothing depends on it.
    fn drop(&mut self) {
        // SAFETY: `self` is not used after this.
        let socket = unsafe { ManuallyDrop::take(&mut self.0) };
        let closing = std::thread::Builder::new().spawn(move || drop(socket));
        // Without a thread the closure was dropped here, and the socket with it.
        drop(closing);
    }
}

impl Netlink {
    /// A socket for links, addresses and routes (`rtnetlink(7)`).
    ///
    /// # Errors
    /// As `socket(2)`.
    pub fn route() -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkRoute)
    }

    /// A socket for packet filters (nf_tables).
    ///
    /// # Errors
    /// As `socket(2)`; `EPROTONOSUPPORT` when the kernel has no netfilter.
    pub fn netfilter() -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> io::Result<Netlink> {
        Ok(Netlink(ManuallyDrop::new(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?)))
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn request(&self, message: Message) -> io::Result<()> {
        self.send(&message.finish(1))?;
        self.read_acknowledgements(1)
    }

    /// Sends requests as one datagram; the kernel takes them in order, and goes on behind one it refuses.
    ///
    /// # Errors
    /// The kernel's first refusal.
    pub fn requests(&self, messages: Vec<Message>) -> io::Result<()> {
        let expected = messages.len();
        let bytes: Vec<u8> = messages.into_iter().zip(1..).flat_map(|(message, n)| message.finish(n)).collect();
        self.send(&bytes)?;
        self.read_all_acknowledgements(expected)
    }

    /// Sends `first`, `messages`, `last` as one datagram; the kernel does all of `messages` or none
    /// (nf_tables batches). Only `messages` are acknowledged.
    ///
    /// # Errors
    /// The kernel's first refusal.
    pub fn batch(&self, first: Message, messages: Vec<Message>, last: Message) -> io::Result<()> {
        let mut bytes = first.finish(1);
        let expected = messages.len();
        for (message, sequence) in messages.into_iter().zip(2..) {
            bytes.extend(message.finish(sequence));
        }
        bytes.extend(last.finish(2 + expected as u32));
        self.send(&bytes)?;
        self.read_acknowledgements(expected)
    }

    /// Sends one dump request; `each` gets the bytes behind the header of every message answered.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn dump(&self, message: Message, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.send(&message.finish(1))?;
        loop {
            let mut done = false;
            self.receive(|kind, body| match kind {
                KIND_ERROR => error_of(body),
                KIND_DONE => {
                    done = true;
                    Ok(())
                }
                _ => {
                    each(body);
                    Ok(())
                }
            })?;
            if done {
                return Ok(());
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), bytes, MsgFlags::empty())?;
        Ok(())
    }

    /// As [`Netlink::read_acknowledgements`], leaving none unread: more requests follow on this socket.
    fn read_all_acknowledgements(&self, expected: usize) -> io::Result<()> {
        let (mut seen, mut outcome) = (0, Ok(()));
        while seen < expected {
            self.receive(|kind, body| {
                seen += 1;
                let answer = if kind == KIND_ERROR { error_of(body) } else { Err(io::ErrorKind::InvalidData.into()) };
                if outcome.is_ok() {
                    outcome = answer;
                }
                Ok(())
            })?;
        }
        outcome
    }

    fn read_acknowledgements(&self, expected: usize) -> io::Result<()> {
        let mut seen = 0;
        while seen < expected {
            self.receive(|kind, body| {
                seen += 1;
                if kind == KIND_ERROR { error_of(body) } else { Err(io::ErrorKind::InvalidData.into()) }
            })?;
        }
        Ok(())
    }

    /// Reads one datagram and hands its messages to `each` until one fails.
    fn receive(&self, mut each: impl FnMut(u16, &[u8]) -> io::Result<()>) -> io::Result<()> {
        // The kernel fills at most 32 KiB a datagram of a dump (NLMSG_GOODSIZE and netlink_dump).
        let mut buffer = vec![0u8; 32 * 1024];
        let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while rest.len() >= HEADER {
            let size = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            if size < HEADER || size > rest.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            each(kind, &rest[HEADER..size])?;
            rest = &rest[size.next_multiple_of(4).min(rest.len())..];
        }
        Ok(())
    }
}

fn error_of(body: &[u8]) -> io::Result<()> {
    let Some(bytes) = body.first_chunk::<4>() else { return Err(io::ErrorKind::InvalidData.into()) };
    match i32::from_ne_bytes(*bytes) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(-number)),
    }
}

/// The attributes in `bytes`, as kind (without flag bits) and value; stops at the first malformed one.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let size = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        if size < 4 || size > bytes.len() {
            break;
        }
        found.push((u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff, &bytes[4..size]));
        bytes = &bytes[size.next_multiple_of(4).min(bytes.len())..];
    }
    found
}

//! What both tasks of a connection and all its streams share.

use super::WORTH_BYTES;
use super::frame::{HEADER_BYTES, Header, Kind};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use tokio::sync::Notify;

/// How much of a stream may be on its way and unread at first; both sides know it.
pub const FIRST_WINDOW_BYTES: u32 = 256 * 1024;
/// To what a window grows where the reader keeps up: as much as OpenSSH lets be on its way in a whole session
/// (CHAN_SES_WINDOW_DEFAULT, channels.h), so more would not be used.
const LARGEST_WINDOW_BYTES: u32 = 2 << 20;
/// What all windows of a connection may grow together, so that readers that stop cannot fill the memory.
const LARGEST_GROWTH_BYTES: u32 = 64 << 20;
/// Frames that wait to be written, beyond which streams wait: enough for large writes, little enough that a small
/// message behind them is soon on its way.
const OUTGOING_BYTES: usize = 256 * 1024;
/// The most that one stream adds before another has its turn.
pub const TURN_BYTES: usize = 64 * 1024;
/// The most that a stream adds while no other has to wait: large frames cost fewer system calls and wake-ups, and one turn
/// is left for whoever comes.
pub const LONE_TURN_BYTES: usize = OUTGOING_BYTES - TURN_BYTES;
/// Open streams of a connection; the other side's attempts beyond are reset.
pub const MOST_STREAMS: usize = 16 * 1024;
/// Room that an empty stream keeps for its next bytes.
const KEPT_BYTES: usize = 128 * 1024;

/// One connection, as its streams and tasks see it.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    /// There is something to write, or it is over.
    pub written: Notify,
    /// It is over.
    pub over: Notify,
    /// What is written can come from sockets directly.
    pub carries: bool,
}

/// Bytes of a socket that a header has announced already.
pub struct Promised {
    /// How many bytes of the frames taken with it come before.
    pub behind: usize,
    pub stream: u32,
    pub socket: Arc<OwnedFd>,
    pub length: usize,
}

/// What came of moving data to where its stream is given on.
pub enum Poured {
    Some(usize),
    /// It has not come yet.
    NothingYet,
    /// It has to be read.
    Refused,
}

#[derive(Default)]
pub struct State {
    pub streams: HashMap<u32, Entry>,
    /// Encoded frames that nobody has written yet.
    outgoing: Vec<u8>,
    promised: Vec<Promised>,
    promised_bytes: usize,
    /// Streams that wait for room in `outgoing`, first come first served.
    waiting: VecDeque<u32>,
    /// Some had to wait for the room there is now.
    is_contended: bool,
    /// Why the connection is over.
    pub over: Option<Arc<str>>,
    pub last_opened: u32,
    growth: u32,
}

/// One stream.
pub struct Entry {
    received: VecDeque<u8>,
    /// What the other side may still send.
    allowance: u32,
    /// What was read since the other side was last told.
    consumed: u32,
    window: u32,
    /// What may still be sent.
    credit: u32,
    waits_for_room: bool,
    /// A promise of its is not kept yet.
    carrying: bool,
    /// We have said all we will.
    pub own_end: bool,
    /// The other side has.
    pub other_end: bool,
    pub reset: bool,
    /// Where the reader gives on what it reads. While it waits, and so has given on everything, what comes goes there
    /// directly.
    pub sink: Option<TcpStream>,
    /// Whoever waits for something to read.
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry {
            received: VecDeque::new(),
            allowance: FIRST_WINDOW_BYTES,
            consumed: 0,
            window: FIRST_WINDOW_BYTES,
            credit: FIRST_WINDOW_BYTES,
            waits_for_room: false,
            carrying: false,
            own_end: false,
            other_end: false,
            reset: false,
            sink: None,
            reader: None,
            writer: None,
        }
    }
}

impl Entry {
    fn wake(&mut self) {
        let (reader, writer) = (self.reader.take(), self.writer.take());
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}

impl Shared {
    /// Nothing is said yet.
    pub fn new(carries: bool) -> Shared {
        Shared { carries, ..Shared::default() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame without content, whatever the room: there are few of these a stream.
    pub fn say(&self, state: &mut State, kind: Kind, stream: u32, amount: u32) {
        state.outgoing.extend_from_slice(&Header { kind, amount, stream }.encode());
        self.written.notify_one();
    }

    /// Ends the connection: every stream hears why.
    pub fn end(&self, why: &str) {
        let mut state = self.lock();
        if state.over.is_none() {
            state.over = Some(why.into());
            state.streams.values_mut().for_each(Entry::wake);
            state.waiting.clear();
        }
        drop(state);
        self.written.notify_one();
        self.over.notify_waiters();
    }

    /// Exchanges both for what waits, and lets streams add more; false when there is nothing.
    pub fn take_outgoing(&self, empty: &mut Vec<u8>, promised: &mut Vec<Promised>) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.outgoing, empty);
        std::mem::swap(&mut state.promised, promised);
        state.promised_bytes = 0;
        let found = !empty.is_empty();
        // With nothing to write there will be no next time to wake the rest.
        let turns = if found { OUTGOING_BYTES / TURN_BYTES } else { usize::MAX };
        state.is_contended = state.give_turns(turns);
        found
    }

    /// Sends a part of `bytes` on `stream`; `None` when it has to wait, for credit or for its turn.
    ///
    /// # Errors
    /// The stream or the connection is over.
    pub fn send(&self, stream: u32, bytes: &[u8], waker: &Waker) -> io::Result<Option<usize>> {
        let mut state = self.lock();
        if bytes.is_empty() {
            return state.check_stream(stream).map(|_| Some(0));
        }
        let Some(amount) = state.take_turn(stream, 1, bytes.len(), waker)? else { return Ok(None) };
        let length = usize::try_from(amount).unwrap_or(usize::MAX);
        state.outgoing.reserve(HEADER_BYTES + length);
        state.outgoing.extend_from_slice(&Header { kind: Kind::Data, amount, stream }.encode());
        state.outgoing.extend_from_slice(&bytes[..length]);
        self.written.notify_one();
        Ok(Some(length))
    }

    /// Sends a part of the `there` bytes that `socket` has, later, and no less than is worth moving; false when it has to
    /// wait, for credit or for its turn.
    ///
    /// # Errors
    /// The stream or the connection is over.
    pub fn promise(&self, stream: u32, socket: &Arc<OwnedFd>, there: usize, waker: &Waker) -> io::Result<bool> {
        let mut state = self.lock();
        // Less would have to be read over there. Where the credit is less, more is about to come: it is given by halves of a
        // window, and no window is so small.
        let Some(amount) = state.take_turn(stream, WORTH_BYTES, there, waker)? else { return Ok(false) };
        state.outgoing.extend_from_slice(&Header { kind: Kind::Data, amount, stream }.encode());
        let length = usize::try_from(amount).unwrap_or(usize::MAX);
        let promised = Promised { behind: state.outgoing.len(), stream, socket: socket.clone(), length };
        state.promised.push(promised);
        state.promised_bytes += length;
        state.check_stream(stream)?.carrying = true;
        self.written.notify_one();
        Ok(true)
    }

    /// Ready when nothing of what `stream` promised is still to come.
    ///
    /// # Errors
    /// The stream or the connection is over.
    pub fn poll_carried(&self, stream: u32, waker: &Waker) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        let entry = state.check_stream(stream)?;
        if entry.carrying {
            entry.writer = Some(waker.clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// What `stream` promised is sent; where its socket broke the promise, it is reset.
    pub fn carried(&self, stream: u32, kept: bool) {
        let mut state = self.lock();
        let Some(entry) = state.streams.get_mut(&stream) else { return };
        entry.carrying = false;
        entry.wake();
        if !kept && !entry.reset {
            entry.reset = true;
            self.say(&mut state, Kind::Reset, stream, 0);
        }
    }

    /// Moves received bytes to `take`; `None` when there are none yet, 0 at the end.
    ///
    /// # Errors
    /// The stream or the connection is over and was not ended by agreement.
    pub fn receive(
        &self,
        stream: u32,
        room: usize,
        take: impl FnMut(&[u8]),
        waker: &Waker,
    ) -> io::Result<Option<usize>> {
        let mut state = self.lock();
        let over = state.check();
        let Some(entry) = state.streams.get_mut(&stream) else { return Err(io::ErrorKind::NotConnected.into()) };
        let length = entry.take(room, take);
        if length > 0 {
            self.consumed(&mut state, stream, length);
            return Ok(Some(length));
        }
        if entry.other_end || room == 0 {
            return Ok(Some(0));
        }
        if entry.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        over?;
        entry.reader = Some(waker.clone());
        Ok(None)
    }

    /// Data has come.
    pub fn deliver(&self, state: &mut State, stream: u32, bytes: &[u8]) {
        let Some(entry) = state.streams.get_mut(&stream).filter(|entry| !entry.reset) else { return };
        let poured = entry.open_sink().and_then(|mut sink| sink.write(bytes).ok()).unwrap_or(0);
        let rest = &bytes[poured..];
        if !rest.is_empty() {
            entry.received.extend(rest);
            if let Some(waker) = entry.reader.take() {
                waker.wake();
            }
        }
        if poured > 0 {
            self.consumed(state, stream, poured);
        }
    }

    /// Has `give` move data of `stream` to its sink, if whoever reads it waits.
    pub fn pour(&self, stream: u32, give: impl FnOnce(&TcpStream) -> io::Result<Option<usize>>) -> Poured {
        let mut state = self.lock();
        let Some(entry) = state.streams.get(&stream).filter(|entry| !entry.reset) else { return Poured::Refused };
        let Some(sink) = entry.open_sink() else { return Poured::Refused };
        match give(sink) {
            Ok(Some(length)) => {
                self.consumed(&mut state, stream, length);
                Poured::Some(length)
            }
            Ok(None) => Poured::NothingYet,
            Err(_) => Poured::Refused,
        }
    }

    /// Lets the other side send more where enough was read.
    fn consumed(&self, state: &mut State, stream: u32, length: usize) {
        let left = LARGEST_GROWTH_BYTES.saturating_sub(state.growth);
        let Some(entry) = state.streams.get_mut(&stream) else { return };
        entry.consumed += u32::try_from(length).unwrap_or(u32::MAX);
        let (grant, grown) = entry.grant(left);
        state.growth += grown;
        if grant > 0 && state.over.is_none() {
            self.say(state, Kind::Credit, stream, grant);
        }
    }

    /// Ends our direction of `stream`.
    pub fn end_sending(&self, stream: u32) {
        let mut state = self.lock();
        let Some(entry) = state.streams.get_mut(&stream) else { return };
        if !entry.own_end && !entry.reset {
            entry.own_end = true;
            self.say(&mut state, Kind::End, stream, 0);
        }
    }

    /// Forgets `stream`; the other side hears of it unless it knows.
    pub fn forget(&self, stream: u32) {
        let mut state = self.lock();
        let Some(entry) = state.streams.remove(&stream) else { return };
        state.growth -= entry.window - FIRST_WINDOW_BYTES;
        let agreed = entry.own_end && entry.other_end;
        if !agreed && !entry.reset && state.over.is_none() {
            self.say(&mut state, Kind::Reset, stream, 0);
        }
    }
}

impl State {
    /// # Errors
    /// The connection is over.
    pub fn check(&self) -> io::Result<()> {
        match &self.over {
            Some(why) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, why.to_string())),
            None => Ok(()),
        }
    }

    /// A stream that may still send.
    ///
    /// # Errors
    /// The stream or the connection is over.
    fn check_stream(&mut self, stream: u32) -> io::Result<&mut Entry> {
        self.check()?;
        let entry = self.streams.get_mut(&stream).ok_or(io::ErrorKind::NotConnected)?;
        match (entry.reset, entry.own_end) {
            (true, _) => Err(io::ErrorKind::ConnectionReset.into()),
            (_, true) => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(entry),
        }
    }

    /// How much of `wanted` bytes a stream may send now, taken from its credit; `None` when it has to
    /// wait, until that is `least`.
    fn take_turn(&mut self, stream: u32, least: usize, wanted: usize, waker: &Waker) -> io::Result<Option<u32>> {
        let room = OUTGOING_BYTES.saturating_sub(self.outgoing.len() + self.promised_bytes);
        let is_contended = self.is_contended || !self.waiting.is_empty();
        let turn = if is_contended { TURN_BYTES } else { LONE_TURN_BYTES };
        let entry = self.check_stream(stream)?;
        let credit = usize::try_from(entry.credit).unwrap_or(usize::MAX);
        let length = wanted.min(turn).min(credit).min(room);
        if length < least {
            entry.writer = Some(waker.clone());
            if credit >= least && !entry.waits_for_room {
                entry.waits_for_room = true;
                self.waiting.push_back(stream);
            }
            return Ok(None);
        }
        let amount = u32::try_from(length).unwrap_or(u32::MAX);
        entry.credit -= amount;
        Ok(Some(amount))
    }

    /// Wakes the first `turns` of those that wait for room; false when there were none.
    fn give_turns(&mut self, turns: usize) -> bool {
        let mut given = 0;
        while given < turns {
            let Some(stream) = self.waiting.pop_front() else { break };
            let Some(entry) = self.streams.get_mut(&stream) else { continue };
            entry.waits_for_room = false;
            if let Some(waker) = entry.writer.take() {
                waker.wake();
            }
            given += 1;
        }
        given > 0
    }

    /// A frame without content has come.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn hear(&mut self, header: Header) -> io::Result<()> {
        // A stream that is not known has been forgotten while the frame was on its way.
        let Some(entry) = self.streams.get_mut(&header.stream) else { return Ok(()) };
        match header.kind {
            Kind::End => entry.other_end = true,
            Kind::Reset => entry.reset = true,
            Kind::Credit => {
                let credit = entry.credit.checked_add(header.amount).filter(|credit| *credit <= i32::MAX as u32);
                entry.credit = credit.ok_or_else(|| invalid("the other side gave more credit than there can be"))?;
            }
            Kind::Open | Kind::Data => {}
        }
        entry.wake();
        Ok(())
    }

    /// The header of data has come.
    ///
    /// # Errors
    /// The other side may not send so much, or nothing any more.
    pub fn expect(&mut self, header: Header) -> io::Result<()> {
        let Some(entry) = self.streams.get_mut(&header.stream) else { return Ok(()) };
        let left = entry.allowance.checked_sub(header.amount).filter(|_| !entry.other_end);
        entry.allowance = left.ok_or_else(|| invalid("the other side sent more than it may"))?;
        Ok(())
    }
}

impl Entry {
    fn take(&mut self, room: usize, mut take: impl FnMut(&[u8])) -> usize {
        let length = self.received.len().min(room);
        let (front, back) = self.received.as_slices();
        let of_front = front.len().min(length);
        take(&front[..of_front]);
        take(&back[..length - of_front]);
        self.received.drain(..length);
        if self.received.is_empty() && self.received.capacity() > KEPT_BYTES {
            self.received = VecDeque::new();
        }
        length
    }

    /// The sink, if it may be given something. What is wrong with it the reader will see.
    fn open_sink(&self) -> Option<&TcpStream> {
        self.sink.as_ref().filter(|_| self.reader.is_some() && self.received.is_empty())
    }

    /// How much more the other side may send, 0 while it is not worth a frame; and by how much the window has grown.
    fn grant(&mut self, most_growth: u32) -> (u32, u32) {
        if self.consumed < self.window / 2 || self.other_end || self.reset {
            return (0, 0);
        }
        let keeps_up = self.received.is_empty();
        let grown = if keeps_up { self.window.min(LARGEST_WINDOW_BYTES - self.window).min(most_growth) } else { 0 };
        self.window += grown;
        let grant = std::mem::take(&mut self.consumed) + grown;
        self.allowance += grant;
        (grant, grown)
    }
}

pub fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

//! Many independent streams over one connection, whatever carries it: one that is not read holds up no other.
//!
//! One side opens streams, the other accepts them. Each stream has a window of its own: what was sent and not read yet
//! never exceeds it, so the connection itself is always read. A stream knows whether it was ended or reset, which a
//! relay has to pass on.

pub mod carrier;
mod frame;
pub mod inlet;
pub mod outlet;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::MuxStream;

use frame::{HEADER_BYTES, Header, Kind};
use inlet::Inlet;
use outlet::Outlet;
use state::{Entry, MOST_STREAMS, Poured, Promised, Shared, State, invalid};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is read of the connection at once.
const READ_BYTES: usize = 256 * 1024;
/// Less than this is read rather than moved: more system calls cost more than the copy.
const WORTH_BYTES: usize = 16 * 1024;

/// The side that opens streams. Dropping it ends the connection and every stream of it.
pub struct Opener(Arc<Shared>);

/// The side that accepts streams. Dropping it ends the connection and every stream of it.
pub struct Accepter {
    shared: Arc<Shared>,
    streams: UnboundedReceiver<MuxStream>,
}

/// Begins as the side that opens. To be called in a runtime.
pub fn open_over(
    reader: impl AsyncRead + Send + Sync + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Opener {
    Opener(start(inlet::Plain(reader), outlet::Plain(writer), None))
}

/// The same where frames come from an inlet and go to an outlet.
pub fn open_between(inlet: impl Inlet, outlet: impl Outlet) -> Opener {
    Opener(start(inlet, outlet, None))
}

/// Begins as the side that accepts. To be called in a runtime.
pub fn accept_over(
    reader: impl AsyncRead + Send + Sync + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
) -> Accepter {
    accept_between(inlet::Plain(reader), outlet::Plain(writer))
}

/// The same where frames come from an inlet and go to an outlet.
pub fn accept_between(inlet: impl Inlet, outlet: impl Outlet) -> Accepter {
    let (sender, streams) = unbounded_channel();
    Accepter { shared: start(inlet, outlet, Some(sender)), streams }
}

impl Opener {
    /// A new stream. The other side need not answer for it to be used.
    ///
    /// # Errors
    /// The connection is over, or has as many streams as it may.
    pub fn open(&self) -> io::Result<MuxStream> {
        let mut state = self.0.lock();
        state.check()?;
        if state.streams.len() >= MOST_STREAMS {
            return Err(io::Error::other(format!("{MOST_STREAMS} streams are open already")));
        }
        let exhausted = || io::Error::other("the connection has had as many streams as it can number");
        let number = state.last_opened.checked_add(1).ok_or_else(exhausted)?;
        state.last_opened = number;
        state.streams.insert(number, Entry::default());
        self.0.say(&mut state, Kind::Open, number, 0);
        drop(state);
        Ok(MuxStream::new(self.0.clone(), number))
    }

    /// Returns when the connection is over, with why.
    pub async fn over(&self) -> String {
        loop {
            let ended = self.0.over.notified();
            if let Some(why) = &self.0.lock().over {
                return why.to_string();
            }
            ended.await;
        }
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.end("the connection was closed");
    }
}

impl Accepter {
    /// The next stream; `None` when the connection is over.
    pub async fn accept(&mut self) -> Option<MuxStream> {
        self.streams.recv().await
    }
}

impl Drop for Accepter {
    fn drop(&mut self) {
        self.shared.end("the connection was closed");
    }
}

fn start(inlet: impl Inlet, outlet: impl Outlet, accepted: Option<UnboundedSender<MuxStream>>) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(outlet.carries()));
    let reading = shared.clone();
    tokio::spawn(async move {
        let over = async {
            loop {
                let ended = reading.over.notified();
                if reading.lock().over.is_some() {
                    return;
                }
                ended.await;
            }
        };
        let why = tokio::select! {
            () = over => return,
            read = read_all(&reading, inlet, accepted) => match read {
                Ok(()) => "the other side has ended".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        reading.end(&why);
    });
    let writing = shared.clone();
    tokio::spawn(async move {
        if let Err(error) = write_all(&writing, outlet).await {
            writing.end(&error.to_string());
        }
    });
    shared
}

/// Writes what the streams say until the connection is over.
async fn write_all(shared: &Shared, mut outlet: impl Outlet) -> io::Result<()> {
    let (mut frames, mut promised) = (Vec::new(), Vec::new());
    loop {
        while shared.take_outgoing(&mut frames, &mut promised) {
            let mut written = 0;
            for Promised { behind, stream, socket, length } in promised.drain(..) {
                outlet.write(&frames[written..behind]).await?;
                written = behind;
                let kept = outlet.carry(&socket, length).await?;
                shared.carried(stream, kept);
            }
            if written < frames.len() {
                outlet.write(&frames[written..]).await?;
            }
            frames.clear();
        }
        if shared.lock().over.is_some() {
            return outlet.end().await;
        }
        shared.written.notified().await;
    }
}

/// Reads until the other side ends.
async fn read_all(
    shared: &Arc<Shared>,
    mut inlet: impl Inlet,
    accepted: Option<UnboundedSender<MuxStream>>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut kept = 0;
    // Of the data whose header has come: its stream, and how much is still to come.
    let mut coming = (0, 0);
    loop {
        let moved = move_on(shared, &inlet, &mut coming).await?;
        // Behind what was moved only the next header is read, so that its data can be moved as well.
        let room = if moved { HEADER_BYTES } else { READ_BYTES };
        let length = inlet.read(&mut buffer[kept..room]).await?;
        if length == 0 {
            let whole = kept == 0 && coming.1 == 0;
            return if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let used = take_frames(shared, &buffer[..kept + length], &mut coming, accepted.as_ref())?;
        buffer.copy_within(used..kept + length, 0);
        kept = kept + length - used;
    }
}

/// Has data that is still to come go directly to where its stream is given on, as long as that takes it. Returns whether
/// all of it went.
async fn move_on(shared: &Shared, inlet: &impl Inlet, coming: &mut (u32, usize)) -> io::Result<bool> {
    let (stream, left) = coming;
    if *left < WORTH_BYTES {
        return Ok(false);
    }
    while *left > 0 {
        match shared.pour(*stream, |socket| inlet.move_to(socket, *left)) {
            Poured::Some(length) => *left -= length,
            Poured::NothingYet => inlet.readable().await?,
            Poured::Refused => return Ok(false),
        }
    }
    Ok(true)
}

/// Takes all whole headers and all data of `bytes`; returns how many bytes that were.
fn take_frames(
    shared: &Arc<Shared>,
    bytes: &[u8],
    coming: &mut (u32, usize),
    accepted: Option<&UnboundedSender<MuxStream>>,
) -> io::Result<usize> {
    let mut rest = bytes;
    let mut begun = Vec::new();
    let mut state = shared.lock();
    loop {
        let (data, behind) = rest.split_at(rest.len().min(coming.1));
        if !data.is_empty() {
            shared.deliver(&mut state, coming.0, data);
            coming.1 -= data.len();
            rest = behind;
        }
        let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() else { break };
        rest = behind;
        let header = Header::decode(*header)?;
        match header.kind {
            Kind::Open if accepted.is_none() => {
                return Err(invalid("the other side opened a stream; only this one may"));
            }
            Kind::Open => begun.extend(begin_stream(shared, &mut state, header.stream)?),
            Kind::Data => {
                state.expect(header)?;
                *coming = (header.stream, usize::try_from(header.amount).map_err(io::Error::other)?);
            }
            Kind::End | Kind::Reset | Kind::Credit => state.hear(header)?,
        }
    }
    drop(state);
    for number in begun {
        // Nobody accepts any more when the connection ends.
        let _ = accepted.map(|accepted| accepted.send(MuxStream::new(shared.clone(), number)));
    }
    Ok(bytes.len() - rest.len())
}

/// Makes room for a stream that the other side begins; `None` when there are too many.
fn begin_stream(shared: &Shared, state: &mut State, number: u32) -> io::Result<Option<u32>> {
    if number <= state.last_opened {
        return Err(invalid("the other side opened a stream a second time"));
    }
    state.last_opened = number;
    if state.streams.len() >= MOST_STREAMS {
        shared.say(state, Kind::Reset, number, 0);
        return Ok(None);
    }
    state.streams.insert(number, Entry::default());
    Ok(Some(number))
}

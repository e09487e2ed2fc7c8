//! Our standard streams and signals on one side, a program over there on the other.

use super::call::{failure, next, send};
use crate::model::call::Size;
use crate::model::event::Events;
use crate::model::frame::{FromFar, INPUT_WINDOW_BYTES, ToFar};
use crate::model::{Result, Trying};
use crate::sys::stream::Stream;
use crate::sys::terminal::{self, STOP_KEY};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::io::{AsyncRead, split};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

/// As much is read at once of standard input.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces that wait to be written here: when nobody reads them, the program over there waits.
const WAITING_PIECES: usize = 4;

/// Passes bytes and signals on until the program has ended, and gives its exit code.
///
/// # Errors
/// It could not be run, or the connection broke.
pub async fn pump(stream: Stream, has_terminal: bool, events: &dyn Events) -> Result<i32> {
    let (mut from, mut to) = split(stream);
    let (frames, mut waiting) = mpsc::unbounded_channel();
    let window = Window { free: Semaphore::new(INPUT_WINDOW_BYTES), used: AtomicUsize::new(0) };
    let (output, input) = (Output::start(frames.clone())?, read_input()?);
    let signals = Signals::watch(has_terminal)?;
    let _raw = has_terminal.then(terminal::Raw::enter);
    if has_terminal {
        // It may have changed since the program was asked for.
        resize(&frames);
    }
    let write = async {
        while let Some(frame) = waiting.recv().await {
            if let Err(failure) = send(&mut to, &frame).await {
                return failure;
            }
        }
        std::future::pending().await
    };
    let done = tokio::select! {
        done = receive(&mut from, &window, &output, events) => done,
        // What the far side told before it went says more than a write that failed.
        failure = write => match receive(&mut from, &window, &output, events).await {
            Ok(code) => Ok(code),
            Err(_) => Err(failure),
        },
        () = feed(input, &window, &frames) => unreachable!("feeding waits for ever at the end of input"),
        () = signals.pass_on(&frames) => unreachable!("signals have no end"),
    };
    output.finish().await;
    done
}

/// How much input may be on its way.
struct Window {
    free: Semaphore,
    used: AtomicUsize,
}

impl Window {
    async fn take(&self, bytes: usize) {
        // Never closed.
        if let Ok(permits) = self.free.acquire_many(bytes as u32).await {
            permits.forget();
            self.used.fetch_add(bytes, Ordering::AcqRel);
        }
    }

    /// Whatever the far side says, no more is given back than was taken.
    fn give_back(&self, bytes: usize) {
        let given = bytes.min(self.used.load(Ordering::Acquire));
        self.used.fetch_sub(given, Ordering::AcqRel);
        self.free.add_permits(given);
    }
}

async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    window: &Window,
    output: &Output,
    events: &dyn Events,
) -> Result<i32> {
    loop {
        match next(from).await? {
            FromFar::Output(bytes) => output.write(Which::Output, bytes).await,
            FromFar::ErrorOutput(bytes) => output.write(Which::Error, bytes).await,
            FromFar::InputTaken(count) => window.give_back(count as usize),
            FromFar::Exit(code) => return Ok(code),
            FromFar::Failed(told) => return Err(failure(told)),
            FromFar::Event(event) => events.send(super::call::tame(event)),
            FromFar::Done(_) | FromFar::Question(_) => {}
        }
    }
}

/// Reads standard input, in a thread: plain files, terminals and pipes alike.
///
/// # Errors
/// No thread can be had.
fn read_input() -> Result<mpsc::Receiver<Vec<u8>>> {
    let (pieces, read) = mpsc::channel::<Vec<u8>>(1);
    let read_all = move || {
        let mut stdin = std::io::stdin();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match stdin.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(count) if pieces.blocking_send(buffer[..count].to_vec()).is_err() => return,
                Ok(_) => {}
            }
        }
    };
    std::thread::Builder::new().spawn(read_all).trying(|| "cannot start a thread")?;
    Ok(read)
}

/// Passes on what was read, as the program takes it.
async fn feed(mut read: mpsc::Receiver<Vec<u8>>, window: &Window, frames: &mpsc::UnboundedSender<ToFar>) {
    while let Some(piece) = read.recv().await {
        window.take(piece.len()).await;
        let _ = frames.send(ToFar::Input(piece));
    }
    let _ = frames.send(ToFar::InputEnd);
    std::future::pending().await
}

#[derive(Clone, Copy)]
enum Which {
    Output,
    Error,
}

/// Our outputs, written by a thread: when nobody reads them, signals are still passed on.
struct Output {
    pieces: mpsc::Sender<(Which, Vec<u8>)>,
    thread: JoinHandle<()>,
}

impl Output {
    fn start(frames: mpsc::UnboundedSender<ToFar>) -> Result<Output> {
        let (pieces, mut waiting) = mpsc::channel::<(Which, Vec<u8>)>(WAITING_PIECES);
        let write_all = move || {
            let (mut output_open, mut error_open) = (true, true);
            while let Some((which, bytes)) = waiting.blocking_recv() {
                let (open, written, unread) = match which {
                    Which::Output if output_open => {
                        let mut stdout = std::io::stdout();
                        let written = stdout.write_all(&bytes).and_then(|()| stdout.flush());
                        (&mut output_open, written, ToFar::OutputUnread)
                    }
                    Which::Error if error_open => {
                        (&mut error_open, std::io::stderr().write_all(&bytes), ToFar::ErrorOutputUnread)
                    }
                    _ => continue,
                };
                if written.is_err() {
                    // The program over there shall notice as it would here.
                    *open = false;
                    let _ = frames.send(unread);
                }
            }
        };
        let thread = std::thread::Builder::new().spawn(write_all).trying(|| "cannot start a thread")?;
        Ok(Output { pieces, thread })
    }

    async fn write(&self, which: Which, bytes: Vec<u8>) {
        let _ = self.pieces.send((which, bytes)).await;
    }

    /// Waits until all is written.
    async fn finish(self) {
        drop(self.pieces);
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

/// Signals that the program shall have.
struct Signals {
    plain: Vec<(&'static str, Signal)>,
    stop_key: Option<Signal>,
    window: Option<Signal>,
}

impl Signals {
    fn watch(has_terminal: bool) -> Result<Signals> {
        let watch = |kind| signal(kind).trying(|| "cannot wait for signals");
        let mut kinds =
            vec![("INT", SignalKind::interrupt()), ("TERM", SignalKind::terminate()), ("HUP", SignalKind::hangup())];
        if !has_terminal {
            kinds.extend([
                ("QUIT", SignalKind::quit()),
                ("USR1", SignalKind::user_defined1()),
                ("USR2", SignalKind::user_defined2()),
            ]);
        }
        let plain = kinds.into_iter().map(|(name, kind)| Ok((name, watch(kind)?))).collect::<Result<_>>()?;
        let stop_key = (!has_terminal).then(|| watch(SignalKind::from_raw(STOP_KEY))).transpose()?;
        let window = has_terminal.then(|| watch(SignalKind::window_change())).transpose()?;
        Ok(Signals { plain, stop_key, window })
    }

    async fn pass_on(self, frames: &mpsc::UnboundedSender<ToFar>) {
        let Signals { plain, stop_key, window } = self;
        let each = plain.into_iter().map(|(name, mut signal)| async move {
            while signal.recv().await.is_some() {
                let _ = frames.send(ToFar::Signal(name.to_owned()));
            }
        });
        let stop = async {
            let Some(mut signal) = stop_key else { return };
            while signal.recv().await.is_some() {
                let _ = frames.send(ToFar::Signal("TSTP".to_owned()));
                // The writer has its turn before this process stands still.
                tokio::task::yield_now().await;
                terminal::stop_self();
                let _ = frames.send(ToFar::Signal("CONT".to_owned()));
            }
        };
        let window = async {
            let Some(mut signal) = window else { return };
            while signal.recv().await.is_some() {
                resize(frames);
            }
        };
        tokio::join!(futures_util::future::join_all(each), stop, window);
        std::future::pending().await
    }
}

fn resize(frames: &mpsc::UnboundedSender<ToFar>) {
    if let Some((rows, columns)) = terminal::size() {
        let _ = frames.send(ToFar::Resize(Size { rows, columns }));
    }
}

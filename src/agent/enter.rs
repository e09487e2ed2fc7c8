//! A program in a box: a process of its own enters the box, and its standard streams go over the stream.

use super::child::ENTER;
use super::verb::send;
use crate::model::call::EnterCall;
use crate::model::frame::{FromFar, INPUT_WINDOW_BYTES, ToFar};
use crate::model::{Result, Trying};
use crate::sys::framed::read_frame;
use crate::sys::linux::nonblocking::Nonblocking;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::served::{self, Job, Streams};
use crate::sys::linux::{pty, signal};
use crate::sys::stream::Stream;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// As much is read at once of what a program writes.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces on their way to the stream: when it does not take them, the program waits.
const WAITING_PIECES: usize = 4;

/// A program that runs.
pub struct Running {
    job: Job,
    has_terminal: bool,
}

/// Starts it.
///
/// # Errors
/// No process or terminal can be had.
pub fn start(call: &EnterCall) -> Result<Running> {
    let document = serde_json::to_vec(call).trying(|| "cannot hand over the call")?;
    let streams = match call.terminal {
        Some(size) => Streams::Terminal(size.rows, size.columns),
        None => Streams::Pipes,
    };
    let job = served::start(ENTER, &document, &streams, &call.environment)?;
    Ok(Running { job, has_terminal: call.terminal.is_some() })
}

impl Running {
    /// Passes on bytes and signals until the program has ended. When the stream is cut the program hears what it
    /// hears when its terminal goes (SIGHUP).
    ///
    /// # Errors
    /// None that anybody is left to hear.
    pub async fn serve(self, stream: Stream) -> io::Result<()> {
        let (from, to) = split(stream);
        let Job { mut child, process, report, input, outputs, .. } = self.job;
        let process = Arc::new(process);
        let input = input.map(Arc::new);
        // Dropped with this function, and all tasks with it.
        let mut tasks = JoinSet::new();
        let (frames, waiting) = mpsc::channel(WAITING_PIECES);
        let (queue, queued) = mpsc::unbounded_channel();
        let room = Arc::new(AtomicUsize::new(INPUT_WINDOW_BYTES));
        tasks.spawn(feed(input.clone().filter(|_| !outputs.is_empty()), queued, room.clone(), frames.clone()));
        let terminal = input.filter(|_| self.has_terminal);
        let (unread, _) = watch::channel([false; 2]);
        let (ended, _) = watch::channel(false);
        let mut collectors = JoinSet::new();
        for (number, end) in outputs.into_iter().enumerate() {
            let (unread, ended) = (unread.subscribe(), ended.subscribe());
            collectors.spawn(collect(number, end, unread, ended, frames.clone()));
        }
        let writer = tokio::spawn(write(to, waiting));
        let listener = Listener { process: process.clone(), terminal, queue: Some(queue), room, unread };
        let work = async move {
            let (status, told) = tokio::join!(child.wait(), tell(report, frames.clone()));
            ended.send_replace(true);
            while collectors.join_next().await.is_some() {}
            if !told {
                let _ = frames.send(FromFar::Exit(status.map_or(255, exit_code))).await;
            }
            drop(frames);
            tasks.abort_all();
            let _ = writer.await;
        };
        tokio::select! {
            () = work => {}
            () = listener.listen(from) => process.signal(signal::HANG_UP),
        }
        Ok(())
    }
}

/// As a shell has it: 128 + N when signal N killed it.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Hears the asker.
struct Listener {
    process: Arc<Process>,
    terminal: Option<Arc<Nonblocking>>,
    /// Input for the program; `None` after its end.
    queue: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// How much more input may come.
    room: Arc<AtomicUsize>,
    unread: watch::Sender<[bool; 2]>,
}

impl Listener {
    /// Returns when the asker has gone, or does not keep to what is agreed.
    async fn listen(mut self, mut from: impl AsyncRead + Unpin) {
        while let Ok(Some((what, content))) = read_frame(&mut from, ToFar::longest).await {
            let Ok(frame) = ToFar::decode(what, content) else { return };
            match frame {
                ToFar::Input(bytes) => {
                    let length = bytes.len();
                    let taken = self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, |r| r.checked_sub(length));
                    if taken.is_err() {
                        return;
                    }
                    // A program that takes no more input is no reason to stop hearing signals.
                    let _ = self.queue.as_ref().map(|queue| queue.send(bytes));
                }
                ToFar::InputEnd => drop(self.queue.take()),
                ToFar::Resize(size) => {
                    if let Some(terminal) = &self.terminal {
                        pty::set_size(&**terminal, size.rows, size.columns);
                    }
                }
                ToFar::Signal(name) => {
                    if let Some(number) = signal::number(&name) {
                        self.process.signal(number);
                    }
                }
                ToFar::Cancel => self.process.signal(signal::INTERRUPT),
                // A program asks nothing.
                ToFar::Given(_) | ToFar::Piece(_) => return,
                ToFar::OutputUnread => self.unread.send_modify(|unread| unread[0] = true),
                ToFar::ErrorOutputUnread => self.unread.send_modify(|unread| unread[1] = true),
            }
        }
    }
}

/// Gives the program its input, and says how much it took.
async fn feed(
    input: Option<Arc<Nonblocking>>,
    mut queued: mpsc::UnboundedReceiver<Vec<u8>>,
    room: Arc<AtomicUsize>,
    frames: mpsc::Sender<FromFar>,
) {
    let mut input = input;
    while let Some(bytes) = queued.recv().await {
        let length = bytes.len();
        if let Some(end) = &input
            && end.write_all(&bytes).await.is_err()
        {
            // It closed its input: what comes from now on goes nowhere, as into a closed pipe.
            input = None;
        }
        room.fetch_add(length, Ordering::AcqRel);
        if frames.send(FromFar::InputTaken(length as u32)).await.is_err() {
            return;
        }
    }
}

/// Collects what the program writes, until nobody can write any more, nobody wants to read it, or the program has ended
/// and all it wrote is read: what it left running in the background holds nobody up.
async fn collect(
    number: usize,
    end: Nonblocking,
    mut unread: watch::Receiver<[bool; 2]>,
    mut ended: watch::Receiver<bool>,
    frames: mpsc::Sender<FromFar>,
) {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = tokio::select! {
            biased;
            _ = unread.wait_for(|unread| unread[number]) => return,
            read = end.read_some(&mut buffer) => read.unwrap_or(0),
            _ = ended.wait_for(|ended| *ended) => end.read_now(&mut buffer).ok().flatten().unwrap_or(0),
        };
        if count == 0 {
            return;
        }
        let piece = buffer[..count].to_vec();
        let frame = if number == 0 { FromFar::Output(piece) } else { FromFar::ErrorOutput(piece) };
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

/// Passes on what our own part of the process tells before it becomes the program: true when that was a failure.
async fn tell(mut report: Nonblocking, frames: mpsc::Sender<FromFar>) -> bool {
    while let Ok(Some((what, content))) = read_frame(&mut report, FromFar::longest).await {
        let Ok(frame) = FromFar::decode(what, content) else { return false };
        let failed = matches!(frame, FromFar::Failed(_));
        if frames.send(frame).await.is_err() || failed {
            return failed;
        }
    }
    false
}

async fn write(mut to: impl AsyncWrite + Unpin, mut waiting: mpsc::Receiver<FromFar>) -> io::Result<()> {
    while let Some(frame) = waiting.recv().await {
        send(&mut to, &frame).await?;
    }
    to.shutdown().await
}

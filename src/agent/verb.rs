//! A verb: a process of its own carries it out, and what it tells goes over the stream.

use super::child::VERB;
use crate::model::call::Call;
use crate::model::frame::{FromFar, ToFar, Told, header};
use crate::model::{Kind, Result, Trying};
use crate::sys::framed::read_frame;
use crate::sys::linux::nonblocking::Nonblocking;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::served::{self, Job, Streams};
use crate::sys::linux::signal;
use crate::sys::stream::Stream;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};

/// A verb that is being carried out.
pub struct Running {
    job: Job,
}

/// Starts it.
///
/// # Errors
/// No process can be made.
pub fn start(call: &Call) -> Result<Running> {
    let document = serde_json::to_vec(call).trying(|| "cannot hand over the call")?;
    let job = served::start(VERB, &document, &Streams::Kept, &[])?;
    Ok(Running { job })
}

impl Running {
    /// Passes on what it tells. When the stream is cut, that is Ctrl-C for the verb, which undoes what it began.
    ///
    /// # Errors
    /// None that anybody is left to hear.
    pub async fn serve(mut self, stream: Stream) -> io::Result<()> {
        let (mut from, mut to) = split(stream);
        let told = {
            let process = &self.job.process;
            let report = &mut self.job.report;
            tokio::select! {
                told = pass_on(report, &mut to) => told,
                () = listen(&mut from, process, &self.job.answers) => false,
            }
        };
        // Nothing it still asks is answered.
        self.job.answers.end_writing();
        // Cut: what it still tells is heard by nobody, but it must not wait for a reader.
        let told = told || pass_on(&mut self.job.report, &mut tokio::io::sink()).await;
        let ended = self.job.child.wait().await?;
        if !told {
            let words = self.job.last_words();
            let mut causes = vec![format!("the far side's verb ended unexpectedly ({ended})")];
            causes.extend((!words.is_empty()).then_some(words));
            send(&mut to, &FromFar::Failed(Told { causes, hint: None, kind: Kind::Failed })).await?;
        }
        to.shutdown().await
    }
}

/// Passes frames on until the verb has told how it ended; false when it ended without, or nobody listens.
async fn pass_on(report: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> bool {
    while let Ok(Some((what, content))) = read_frame(report, FromFar::longest).await {
        let sent = async {
            to.write_all(&header(what, content.len())).await?;
            to.write_all(&content).await?;
            to.flush().await
        };
        if sent.await.is_err() {
            return false;
        }
        if matches!(what, b'd' | b'f') {
            return true;
        }
    }
    false
}

/// Hears the asker until it is gone, which counts as Ctrl-C. Its answers are passed on to the verb.
async fn listen(from: &mut (impl AsyncRead + Unpin), process: &Process, answers: &Nonblocking) {
    while let Ok(Some((what, content))) = read_frame(from, ToFar::longest).await {
        match what {
            b'c' => process.signal(signal::INTERRUPT),
            b'g' | b'b' => {
                let answer = [&header(what, content.len())[..], &content].concat();
                // A verb that has ended needs no answer.
                let _ = answers.write_all(&answer).await;
            }
            _ => {}
        }
    }
    process.signal(signal::INTERRUPT);
}

/// Sends a frame.
///
/// # Errors
/// The stream is cut.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &FromFar) -> io::Result<()> {
    let (what, content) = frame.encode();
    to.write_all(&header(what, content.len())).await?;
    to.write_all(&content).await?;
    to.flush().await
}

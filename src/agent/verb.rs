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
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
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
            send(&mut to, &FromFar::Failed(untold(ended, self.job.last_words()))).await?;
        }
        to.shutdown().await
    }
}

/// How a verb ended that told nothing of it. Ctrl-C ends one as it would end it here: `up` and pulls that have begun listen
/// for it and tell what they undid, the others just end.
fn untold(ended: ExitStatus, words: String) -> Told {
    if ended.signal() == Some(signal::INTERRUPT) {
        return Told { causes: vec!["interrupted".to_owned()], hint: None, kind: Kind::Interrupted };
    }
    let mut causes = vec![format!("the far side's verb ended unexpectedly ({ended})")];
    causes.extend((!words.is_empty()).then_some(words));
    Told { causes, hint: None, kind: Kind::Failed }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_that_was_interrupted_before_it_began_is_interrupted() {
        let kind = |raw| untold(ExitStatus::from_raw(raw), "last words".into()).kind;
        assert_eq!(kind(signal::INTERRUPT), Kind::Interrupted);
        assert_eq!(kind(9), Kind::Failed, "killed");
        assert_eq!(kind(1 << 8), Kind::Failed, "exit code 1");
        assert_eq!(untold(ExitStatus::from_raw(9), "last words".into()).causes[1], "last words");
    }
}

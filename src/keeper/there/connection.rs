//! One connection at the keeper's socket: documents, or a stream to the far side.

use crate::model::far::LONGEST_DOCUMENT_BYTES;
use crate::model::there::{ThereReply, ThereRequest};
use crate::model::{Failure, Result, Trying};
use crate::ops::there::supervise::Supervision;
use crate::sys::account;
use crate::sys::framed::{read_document, write_document};
use std::io::ErrorKind;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

/// As much is passed on at once.
const PASSED_BYTES: usize = 64 << 10;

/// Answers requests until the other side ends. `quit` is told when it asks for the end of all.
///
/// # Errors
/// The other side is another user, or the connection breaks.
pub async fn serve(mut stream: UnixStream, supervision: &Supervision, quit: &Notify) -> Result<()> {
    let user = stream.peer_cred().trying(|| "cannot tell who asks")?.uid();
    if user != account::uid() {
        return Err(Failure::new(format!("user {user} asked; only our own user may")));
    }
    loop {
        let request = match read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await {
            Ok(request) => request,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error).trying(|| "cannot read a request"),
        };
        if request == ThereRequest::Stream {
            return pass_on(stream, supervision).await;
        }
        let reply = answer(&mut stream, supervision, request).await?;
        write_document(&mut stream, &reply).await.trying(|| "cannot send an answer")?;
        if reply == ThereReply::Quitting {
            quit.notify_one();
        }
    }
}

/// Does what is asked, telling meanwhile how far it is. Whoever asked may go away: then it stays undone.
async fn answer(stream: &mut UnixStream, supervision: &Supervision, request: ThereRequest) -> Result<ThereReply> {
    let (sender, mut progress) = mpsc::unbounded_channel();
    let mut work = std::pin::pin!(supervision.answer(request, sender));
    loop {
        tokio::select! {
            reply = &mut work => return Ok(reply),
            () = gone(stream) => return Err(Failure::new("whoever asked has gone")),
            Some(event) = progress.recv() => {
                let told = write_document(stream, &ThereReply::Tell { event }).await;
                told.trying(|| "whoever asked has gone")?;
            }
        }
    }
}

/// Returns when the other side has gone: it says nothing more before it has its answer.
async fn gone(stream: &UnixStream) {
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

/// Connects whoever asked to a new stream, whose first bytes may have come already.
async fn pass_on(mut stream: UnixStream, supervision: &Supervision) -> Result<()> {
    let mut far = match supervision.stream().await {
        Ok(far) => far,
        Err(failure) => {
            let reply = ThereReply::fail(&failure);
            return write_document(&mut stream, &reply).await.trying(|| "cannot send an answer");
        }
    };
    write_document(&mut stream, &ThereReply::Stream).await.trying(|| "cannot send an answer")?;
    // However it ends, both sides notice.
    let _ = copy_bidirectional_with_sizes(&mut stream, &mut far, PASSED_BYTES, PASSED_BYTES).await;
    Ok(())
}

//! One stream of a `devenv` elsewhere: what it asks for, and an answer.

use super::{connect, enter, verb};
use crate::model::far::{Answer, BUILD, LONGEST_DOCUMENT_BYTES, Request};
use crate::model::{Failure, Result};
use crate::ops::here;
use crate::sys::framed::{read_document, write_document};
use crate::sys::stream::Stream;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long the first document may take: a stream that says nothing holds nothing for ever.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// Sets the clock (nanoseconds since 1970 UTC) and the timezone (bytes of `/etc/localtime`, base64).
pub type SetClock = fn(i64, Option<&str>) -> Result<()>;

/// Serves one stream to its end. `set_clock` is what a guest of ours can do and a remote host refuses.
pub async fn serve(mut stream: Stream, set_clock: Option<SetClock>) {
    let asked = tokio::time::timeout(REQUEST_PATIENCE, read_document(&mut stream, LONGEST_DOCUMENT_BYTES)).await;
    let served = match asked {
        Ok(Ok(request)) => answer(stream, request, set_clock).await,
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            let failure = Failure::because("the far side does not understand what it is asked", error)
                .hint("both sides have to be the same version of devenv");
            refuse(stream, &failure).await
        }
        // It ended, or never began.
        _ => Ok(()),
    };
    // The other side has gone: there is nobody to be told.
    drop(served);
}

async fn answer(mut stream: Stream, request: Request, set_clock: Option<SetClock>) -> io::Result<()> {
    match request {
        Request::Hello => {
            let architecture = std::env::consts::ARCH.to_owned();
            last_word(stream, &Answer::Hello { build: BUILD.into(), architecture }).await
        }
        Request::Clock { unix_nanoseconds, timezone } => {
            let set = match set_clock {
                Some(set_clock) => set_clock(unix_nanoseconds, timezone.as_deref()),
                None => Err(Failure::new("this computer keeps its own time")),
            };
            match set {
                Ok(()) => last_word(stream, &Answer::Open).await,
                Err(failure) => refuse(stream, &failure).await,
            }
        }
        Request::Sync { project, source, person } => match here::tree_of(&project, &source, person.as_ref()) {
            Ok(tree) => {
                write_document(&mut stream, &Answer::Open).await?;
                // What breaks is told by the other side, who sees the stream end.
                let _ = here::keep_tree(stream, tree).await;
                Ok(())
            }
            Err(failure) => refuse(stream, &failure).await,
        },
        Request::Look { project, source, path, person } => {
            let looked = here::tree_of(&project, &source, person.as_ref()).and_then(|tree| tree.version(&path));
            match looked {
                Ok(version) => {
                    write_document(&mut stream, &Answer::Open).await?;
                    write_document(&mut stream, &version).await?;
                    stream.shutdown().await
                }
                Err(failure) => refuse(stream, &failure).await,
            }
        }
        Request::Verb(call) => match verb::start(&call) {
            Ok(verb) => {
                write_document(&mut stream, &Answer::Open).await?;
                verb.serve(stream).await
            }
            Err(failure) => refuse(stream, &failure).await,
        },
        Request::Enter(call) => match enter::start(&call) {
            Ok(program) => {
                write_document(&mut stream, &Answer::Open).await?;
                program.serve(stream).await
            }
            Err(failure) => refuse(stream, &failure).await,
        },
        Request::Connect { project, name, protocol, port } => {
            match connect::open(project, name, protocol, port).await {
                Ok(sockets) => {
                    write_document(&mut stream, &Answer::Open).await?;
                    connect::carry(stream, protocol, sockets).await
                }
                Err(failure) => refuse(stream, &failure).await,
            }
        }
    }
}

/// Answers and ends the stream: one that is only dropped is reset, and what was said may be lost.
async fn last_word(mut stream: Stream, answer: &Answer) -> io::Result<()> {
    write_document(&mut stream, answer).await?;
    stream.shutdown().await
}

async fn refuse(stream: Stream, failure: &Failure) -> io::Result<()> {
    let (causes, hint) = (failure.chain(), failure.get_hint().map(str::to_owned));
    last_word(stream, &Answer::Failed { causes, hint }).await
}

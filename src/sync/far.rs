//! The far side of a session: a replica behind a stream.

use super::lanes::tells;
use super::life::Life;
use super::message::{Ask, Hello, PROTOCOL, Tell};
use super::replica::{Owner, Replica};
use super::wire::{Pace, receive, send};
use super::worker::{EndsWork, Work, Worker};
use crate::model::{Failure, Result, Trying};
use crate::sys::fs::make_folder;
use crate::sys::stream::Stream;
use std::path::PathBuf;

/// Keeps the tree at `root` equal to that of whoever is at the other end, until the stream ends. `state` belongs to this
/// tree alone and should be on the same file system, outside of it. What is made belongs to `owner`, which only root
/// may ask for; else to the user of this process.
///
/// # Errors
/// The stream breaks or carries something else, or the root cannot be used.
pub async fn serve(mut stream: Stream, root: PathBuf, state: PathBuf, owner: Option<Owner>) -> Result<()> {
    let Some(theirs) = receive::<Hello>(&mut stream).await? else { return Ok(()) };
    make_folder(&root)?;
    let replica = Replica::identity(&state)?;
    let life = Life::begin(&state)?;
    // A file system that cannot be asked cannot be written either, which is told when it is opened.
    let rules = Replica::rules(&root, &state).unwrap_or_default();
    send(&mut stream, &Hello { protocol: PROTOCOL, ignore: Vec::new(), replica, life: life.id, rules }, false).await?;
    check_protocol(&theirs)?;
    let (tells, mut told) = tells();
    let (asks, work) = std::sync::mpsc::channel::<Work>();
    // However this ends: the watch has a sender too, so that the thread has to be told.
    let (wake, end) = (asks.clone(), EndsWork(asks.clone()));
    let ignore = theirs.ignore;
    let working = tokio::task::spawn_blocking(move || -> Result<()> {
        match Replica::open(&root, &state, &ignore, owner) {
            Ok(replica) => Worker::new(replica, life, tells, wake).run(work),
            Err(failure) => {
                let _ = tells.tell(Tell::Lost { reason: failure.chain().join(": ") });
                return Err(failure);
            }
        }
        Ok(())
    });
    let (mut from, mut to) = tokio::io::split(stream);
    let reading = async {
        // The asker bounds what is asked at a time.
        while let Some(ask) = receive::<Ask>(&mut from).await? {
            if asks.send(Work::Ask(ask)).is_err() {
                break;
            }
        }
        Ok(())
    };
    let writing = async {
        let mut pace = Pace::default();
        while let Some(tell) = told.next().await {
            pace.send(&mut to, &tell).await?;
        }
        Ok(())
    };
    let piped: Result<()> = tokio::select! {
        end = reading => end,
        end = writing => end,
    };
    drop(told);
    drop(end);
    let worked = working.await.trying(|| "file sync broke off")?;
    piped.and(worked)
}

/// Refuses a side that speaks differently.
///
/// # Errors
/// It does.
pub(super) fn check_protocol(theirs: &Hello) -> Result<()> {
    if theirs.protocol == PROTOCOL {
        return Ok(());
    }
    Err(Failure::new(format!("the other side speaks file sync {}, this one {PROTOCOL}", theirs.protocol))
        .hint("both sides have to be the same build of devenv"))
}

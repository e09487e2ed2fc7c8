//! The connection to the far replica: greets it, then carries asks and tells.

use super::far::check_protocol;
use super::lanes::{Asked, Asks, asks};
use super::life::LifeId;
use super::message::{Hello, PROTOCOL, Tell};
use super::names::Rules;
use super::wire::{Pace, receive, send};
use crate::model::{Failure, Result};
use crate::sys::stream::Stream;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;

/// Tells that wait for the controller: what is in flight is bounded by it, so this only evens out.
const TELLS_WAITING: usize = 64;

/// A replica that can be spoken to.
pub struct Link {
    pub asks: Asks,
    pub tells: Receiver<Tell>,
    /// Why it broke, once it has.
    pub why: oneshot::Receiver<String>,
    /// Which copy of the tree it keeps.
    pub replica: [u8; 16],
    /// Its life: another one than before means that its computer went down.
    pub life: LifeId,
    /// What its file system makes of names.
    pub rules: Rules,
}

/// Greets the far side of `stream` and keeps it speaking.
///
/// # Errors
/// It ends, breaks, or speaks differently.
pub async fn connect(mut stream: Stream, ignore: Vec<String>) -> Result<Link> {
    let hello = Hello { protocol: PROTOCOL, ignore, replica: [0; 16], life: [0; 16], rules: Rules::default() };
    send(&mut stream, &hello, false).await?;
    let Some(theirs) = receive::<Hello>(&mut stream).await? else {
        return Err(Failure::new("the other side of file sync hung up"));
    };
    check_protocol(&theirs)?;
    let (asks, asked) = asks();
    let (tells, told) = mpsc::channel(TELLS_WAITING);
    let (broke, why) = oneshot::channel();
    tokio::spawn(carry(stream, asked, tells, broke));
    Ok(Link { asks, tells: told, why, replica: theirs.replica, life: theirs.life, rules: theirs.rules })
}

async fn carry(stream: Stream, mut asked: Asked, tells: mpsc::Sender<Tell>, broke: oneshot::Sender<String>) {
    let (mut from, mut to) = tokio::io::split(stream);
    let reading = async {
        while let Some(tell) = receive::<Tell>(&mut from).await? {
            if tells.send(tell).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let writing = async {
        let mut pace = Pace::default();
        while let Some(ask) = asked.next().await {
            pace.send(&mut to, &ask).await?;
        }
        Ok(())
    };
    let end: Result<()> = tokio::select! {
        end = reading => end,
        end = writing => end,
    };
    if let Err(failure) = end {
        // Before `tells` ends, which is how the controller notices.
        let _ = broke.send(failure.chain().join(": "));
    }
}

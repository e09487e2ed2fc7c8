//! A verb, carried out by the far side while we listen.

use super::elsewhere::{Interrupt, interrupted};
use super::far::{Far, lost};
use super::offer::Offer;
use crate::model::call::{Call, Caller, Verb};
use crate::model::far::Request;
use crate::model::frame::{FromFar, ToFar, Told, header};
use crate::model::{Event, Events, Failure, Kind, Result, Trying};
use crate::sys::framed::read_frame;
use serde::de::DeserializeOwned;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::task::JoinHandle;

/// Calls a verb and gives its reply. What it tells goes to `events`, what it prints to `out`, and what it asks is answered
/// as far as it needs to know. Ctrl-C interrupts it over there, where it undoes what it began.
///
/// # Errors
/// As the verb; or the connection broke.
pub async fn call<T: DeserializeOwned>(
    far: &Far,
    caller: Caller,
    verb: Verb,
    events: &dyn Events,
    out: &mut (dyn Write + '_),
    interrupt: &mut Interrupt,
) -> Result<T> {
    let offer = Arc::new(Offer::of(&caller, &verb));
    let stream = far.open(&Request::Verb(Box::new(Call { caller, verb }))).await?;
    let (mut from, mut to) = split(stream);
    let mut hears = true;
    let mut answering: Option<JoinHandle<ToFar>> = None;
    let mut reading = Box::pin(next(&mut from));
    loop {
        let frame = tokio::select! {
            frame = &mut reading => frame?,
            answer = done(&mut answering) => {
                answering = None;
                send(&mut to, &answer?).await?;
                continue;
            }
            wanted = interrupt.wait_for(|wanted| *wanted), if hears => {
                hears = false;
                if wanted.is_ok() {
                    send(&mut to, &ToFar::Cancel).await?;
                }
                continue;
            }
        };
        drop(reading);
        match frame {
            FromFar::Event(event) => events.send(tame(event)),
            FromFar::Output(bytes) => out.write_all(&bytes).and_then(|()| out.flush()).trying(|| "cannot write")?,
            FromFar::Done(reply) => {
                return serde_json::from_value(reply).trying(|| "the far side's reply makes no sense");
            }
            FromFar::Failed(told) => return Err(failure(offer.in_our_words(told))),
            FromFar::Question(question) => {
                if answering.is_some() {
                    return Err(Failure::new("the far side asks before it was answered"));
                }
                let offer = offer.clone();
                answering = Some(tokio::task::spawn_blocking(move || offer.answer(&question)));
            }
            FromFar::ErrorOutput(_) | FromFar::InputTaken(_) | FromFar::Exit(_) => {}
        }
        reading = Box::pin(next(&mut from));
    }
}

/// What a task gives when it is done; without one this waits for ever.
async fn done<T>(task: &mut Option<JoinHandle<T>>) -> Result<T> {
    match task {
        Some(task) => task.await.trying(|| "an answer was cut short"),
        None => std::future::pending().await,
    }
}

/// The next frame.
///
/// # Errors
/// The stream ended or broke; the far side sent what is no frame.
pub async fn next(from: &mut (impl AsyncRead + Unpin)) -> Result<FromFar> {
    let (what, content) = read_frame(from, FromFar::longest)
        .await
        .and_then(|frame| frame.ok_or(ErrorKind::UnexpectedEof.into()))
        .map_err(lost)?;
    FromFar::decode(what, content).trying(|| "the far side sent what makes no sense")
}

/// Sends a frame.
///
/// # Errors
/// The stream is cut.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &ToFar) -> Result<()> {
    let (what, content) = frame.encode();
    let mut bytes = header(what, content.len()).to_vec();
    bytes.extend_from_slice(&content);
    to.write_all(&bytes).await.map_err(lost)?;
    to.flush().await.map_err(lost)
}

/// A failure told by the far side.
pub fn failure(told: Told) -> Failure {
    let tame = |text: String| tame_text(&text);
    let failure = Failure::told(told.causes.into_iter().map(tame).collect(), told.hint.map(tame), told.kind);
    if failure.get_kind() == Kind::Interrupted { interrupted() } else { failure }
}

/// A refusal by the far side of what a stream was opened for.
pub fn refusal(causes: Vec<String>, hint: Option<String>) -> Failure {
    failure(Told { causes, hint, kind: Kind::Failed })
}

/// What the far side tells is shown on the user's terminal, and must not steer it.
pub fn tame(event: Event) -> Event {
    match event {
        Event::Step { text } => Event::Step { text: tame_text(&text) },
        Event::Done { text } => Event::Done { text: tame_text(&text) },
        Event::Note { text } => Event::Note { text: tame_text(&text) },
        Event::Warning { text } => Event::Warning { text: tame_text(&text) },
        Event::TransferBegan { id, label, total_bytes } => {
            Event::TransferBegan { id, label: tame_text(&label), total_bytes }
        }
        Event::TransferEnded { id, label } => Event::TransferEnded { id, label: tame_text(&label) },
        // A line that a program of the user's own wrote is shown as it is here, colours and all.
        Event::TransferAt { .. } | Event::Output { .. } => event,
    }
}

fn tame_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

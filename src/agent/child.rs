//! The process of one verb, or of one program that enters a box: before it has a second thread.

use super::asker::Asker;
use crate::model::call::{Call, Caller, EnterCall, Verb};
use crate::model::frame::{FromFar, LONGEST_DATA_BYTES, LONGEST_EVENT_BYTES, Told, header};
use crate::model::supply::Supply;
use crate::model::{Event, Events, Failure, Result, Trying};
use crate::ops::{Context, here};
use crate::sys::linux::{served, signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// First word of the command line of a verb's process.
pub const VERB: &str = "__verb";
/// First word of the command line of a program that enters.
pub const ENTER: &str = "__verb-enter";

/// Carries out the verb of the request, and reports.
pub fn verb() -> ExitCode {
    signal::on_death_of_parent(signal::INTERRUPT);
    let report = served::report();
    let answers = report.try_clone();
    let report = Arc::new(Report(Mutex::new(report)));
    let outcome = request::<Call>().and_then(|call| {
        let answers = answers.trying(|| "no descriptors are left")?;
        let supply: Arc<dyn Supply> = Arc::new(Asker::new(report.clone(), answers));
        let context = Context { supply: Some(supply), ..context(call.caller, &report) };
        carry_out(&context, &call.verb, &report)
    });
    match outcome {
        Ok(reply) => report.send(&FromFar::Done(reply)),
        Err(failure) => report.fail(&failure),
    }
    ExitCode::SUCCESS
}

/// Becomes the program of the request in its box; reports only when it cannot.
pub fn enter() -> ExitCode {
    signal::on_death_of_parent(signal::HANG_UP);
    let report = Arc::new(Report(Mutex::new(served::report())));
    let outcome = request::<EnterCall>().and_then(|call| {
        let context = context(call.caller, &report);
        here::enter(&context, &call.request, false)
    });
    if let Err(failure) = outcome {
        report.fail(&failure);
    }
    ExitCode::FAILURE
}

fn request<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_slice(&served::request()?).trying(|| "cannot understand the request")
}

fn context(caller: Caller, report: &Arc<Report>) -> Context {
    let events: Arc<dyn Events> = report.clone();
    Context { folder: caller.folder.clone(), place: None, no_input: true, events, caller: Some(caller), supply: None }
}

fn carry_out(context: &Context, verb: &Verb, report: &Arc<Report>) -> Result<Value> {
    match verb {
        Verb::Up(request) => reply(here::up(context, request)?),
        Verb::Status => reply(here::status(context)?),
        Verb::Logs(request) => reply(here::logs(context, request, &mut Data(report.clone()))?),
        Verb::Stop { only } => reply(here::stop(context, only.as_ref())?),
        Verb::Down { volumes } => reply(here::down(context, *volumes)?),
        Verb::ImageList => reply(here::image_list(context)?),
        Verb::ImagePull { reference } => reply(here::image_pull(context, reference)?),
        Verb::ImageImport { source, name } => reply(here::image_bring(context, source, name.as_deref())?),
        Verb::ImageRemove { names } => reply(here::image_remove(context, names)?),
        Verb::ImagePrune => reply(here::image_prune(context)?),
        Verb::Doctor => reply(here::doctor(context)?),
        Verb::Running => reply(here::running()?),
    }
}

fn reply(reply: impl Serialize) -> Result<Value> {
    serde_json::to_value(reply).trying(|| "cannot write the reply")
}

/// Where frames go.
#[derive(Debug)]
pub struct Report(Mutex<File>);

impl Report {
    /// A report that nobody reads is no failure: what was begun goes on to its end, or was interrupted.
    pub fn send(&self, frame: &FromFar) {
        let (what, content) = frame.encode();
        let mut bytes = header(what, content.len()).to_vec();
        bytes.extend_from_slice(&content);
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes);
    }

    fn fail(&self, failure: &Failure) {
        self.send(&FromFar::Failed(Told::of(failure)));
    }
}

impl Events for Report {
    fn send(&self, mut event: Event) {
        if let Event::Output { line, .. } = &mut event {
            // A line may hold anything; an event has a bound. JSON writes a byte as six at most.
            let end = (0..=(LONGEST_EVENT_BYTES / 8).min(line.len())).rev().find(|end| line.is_char_boundary(*end));
            line.truncate(end.unwrap_or(0));
        }
        Report::send(self, &FromFar::Event(event));
    }
}

/// Standard output of a verb.
struct Data(Arc<Report>);

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(LONGEST_DATA_BYTES)];
        self.0.send(&FromFar::Output(piece.to_vec()));
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

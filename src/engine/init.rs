//! Process 1 of a box: starts its program, reaps what is orphaned, passes signals on, and writes how it ended.

use super::launch::{ExitRecord, report};
use super::payload::Payload;
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::clone::{Forked, Namespaces, fork_into};
use crate::sys::linux::credentials::new_session;
use crate::sys::linux::pidfd::Identity;
use crate::sys::linux::{pipe, signal};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long processes of an idle box may take to end after SIGTERM, when nothing supervised tells us more.
const FAREWELL: Duration = Duration::from_secs(2);

/// Starts the box's program as a child and waits until it was executed.
///
/// # Errors
/// It is missing or cannot be executed.
pub fn begin(payload: Payload, log: &OwnedFd) -> Result<i32> {
    let (mut trouble, trouble_write) = pipe::new().map(|(read, write)| (File::from(read), File::from(write)))?;
    match fork_into(Namespaces::default())? {
        Forked::Child => {
            drop(trouble);
            let failed = start_program(payload, log);
            // The pipe closes when the program is executed; a failure is the only thing ever written to it.
            let _ = (&trouble_write).write_all(&serde_json::to_vec(&report(&failed)).unwrap_or_default());
            std::process::exit(127)
        }
        Forked::Parent { pid, .. } => {
            drop(trouble_write);
            let mut text = String::new();
            trouble.read_to_string(&mut text).trying(|| "cannot hear from the box's program")?;
            match serde_json::from_str(&text) {
                Ok(super::launch::Report::Failed { causes, hint, command }) => {
                    Err(super::launch::failure(causes, hint, command))
                }
                _ => Ok(pid),
            }
        }
    }
}

fn start_program(payload: Payload, log: &OwnedFd) -> Failure {
    new_session();
    match pipe::log_streams(log) {
        Ok(()) => payload.run(),
        Err(failure) => failure,
    }
}

/// Stays until the program ended, or until asked to end where there is none; then ends the box.
///
/// # Errors
/// Never: it ends the process. The type fits the caller's.
pub fn supervise(program: Option<i32>, exit_record: File) -> Result<()> {
    loop {
        match signal::wait(None) {
            Some(signal::CHILD) => {
                while let Some(ended) = signal::reap() {
                    if Some(ended.pid) == program {
                        finish(ended.code, &exit_record);
                    }
                }
            }
            Some(number) => match program {
                Some(pid) => drop(signal::send(pid, number)),
                None if matches!(number, signal::TERMINATE | signal::INTERRUPT | signal::HANG_UP) => {
                    say_farewell();
                    finish(0, &exit_record);
                }
                None => {}
            },
            None => {}
        }
    }
}

/// Asks all processes of the box to end and waits for them a little. Those entered from outside are not our
/// children: only their absence tells.
fn say_farewell() {
    let deadline = std::time::Instant::now() + FAREWELL;
    signal::send(-1, signal::TERMINATE);
    signal::send(-1, signal::HANG_UP);
    signal::send(-1, signal::CONTINUE);
    while signal::send(-1, 0) && std::time::Instant::now() < deadline {
        signal::wait(Some(Duration::from_millis(5)));
        while signal::reap().is_some() {}
    }
}

/// Writes into a new box's exit record who its first process is, so that it is found also when whoever starts it is
/// killed before a record of the box tells of it.
///
/// # Errors
/// The disk is full, or the process ended.
pub fn note_birth(pid: u32, exit_record: &File) -> Result<()> {
    let identity = Identity::of(pid).ok_or_else(|| Failure::new("the box ended at once"))?;
    let text = serde_json::to_vec(&identity).trying(|| "cannot describe the box's first process")?;
    exit_record.write_all_at(&text, 0).trying(|| "cannot write down the box's first process")
}

/// Writes the exit record and ends: the kernel then kills what is left in the box (pid_namespaces(7)).
fn finish(code: i32, exit_record: &File) -> ! {
    let ended_at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let record = serde_json::to_vec(&ExitRecord { exit_code: code, ended_at_s }).unwrap_or_default();
    let _ = exit_record.set_len(0).and_then(|()| exit_record.write_all_at(&record, 0));
    std::process::exit(code)
}

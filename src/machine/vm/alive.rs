//! Whether the VM lives, and how it fares. QEMU inherits a lock and holds it for its life: no number in a file is believed.

use super::qmp::Monitor;
use super::record::Record;
use super::serial::{self, Progress};
use crate::machine::ssh::Address;
use crate::model::{Failure, Result, VmPaths};
use crate::sys::fs::{is_locked, record_lock_holder};
use crate::sys::process;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer its monitor; it serves one caller at a time.
const MONITOR_PATIENCE: Duration = Duration::from_secs(5);
/// How long a guest may take to greet who connects; emulated, on a busy computer.
const GUEST_PATIENCE: Duration = Duration::from_secs(20);
/// How long a QEMU that was just started may take to lock its pid file.
const PID_PATIENCE: Duration = Duration::from_secs(2);
/// How long a killed process may take to be gone: the kernel writes back what it had.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// How the VM fares.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Dead,
    /// Its QEMU lives, and nobody ever saw its guest ready: whoever started it was killed, or is at it.
    Unfinished,
    /// Its processors stand still.
    Paused {
        record: Record,
        why: Pause,
    },
    /// It does not answer.
    Stuck {
        record: Record,
        why: &'static str,
    },
    Running(Record),
}

/// Why processors stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// This computer's disk had no room for what the guest wrote.
    DiskFull,
    /// Somebody told QEMU to.
    Asked,
}

/// Whether a QEMU of this VM lives.
///
/// # Errors
/// The lock cannot be looked at.
pub fn is_alive(paths: &VmPaths) -> Result<bool> {
    is_locked(&paths.alive())
}

/// The process that is QEMU, when it lives.
pub fn pid(paths: &VmPaths) -> Option<u32> {
    record_lock_holder(&paths.pid_file())
}

/// Looks, changing nothing.
///
/// # Errors
/// A file of the VM cannot be read.
pub fn examine(paths: &VmPaths) -> Result<Condition> {
    if !is_alive(paths)? {
        return Ok(Condition::Dead);
    }
    let Some(record) = Record::read(&paths.record())? else { return Ok(Condition::Unfinished) };
    let state = match record.port {
        Some(_) => Monitor::connect(&paths.monitor(), MONITOR_PATIENCE).and_then(|mut monitor| monitor.state()),
        // Only QEMU has a monitor.
        None => Ok("running".to_owned()),
    };
    Ok(match state.as_deref() {
        _ if !is_alive(paths)? => Condition::Dead,
        Err(_) => Condition::Stuck { record, why: "QEMU does not answer: its process may have been stopped" },
        Ok("running") if greets(&record.address(paths)) => Condition::Running(record),
        Ok("running") if !is_alive(paths)? => Condition::Dead,
        Ok("running") => Condition::Stuck { record, why: "its guest does not answer" },
        Ok("io-error") => Condition::Paused { record, why: Pause::DiskFull },
        Ok(_) => Condition::Paused { record, why: Pause::Asked },
    })
}

/// Whether an SSH server greets at this address of ours. What leads there accepts in any case.
fn greets(address: &Address) -> bool {
    let greeted = match address {
        Address::Tcp(address) => TcpStream::connect_timeout(address, GUEST_PATIENCE)
            .and_then(|stream| stream.set_read_timeout(Some(GUEST_PATIENCE)).and_then(|()| greeting(stream))),
        Address::Unix(path) => UnixStream::connect(path)
            .and_then(|stream| stream.set_read_timeout(Some(GUEST_PATIENCE)).and_then(|()| greeting(stream))),
    };
    greeted.is_ok_and(|greeting| greeting == *b"SSH-")
}

fn greeting(mut stream: impl Read) -> std::io::Result<[u8; 4]> {
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).map(|()| greeting)
}

/// Waits until no QEMU of this VM lives; false when `patience` passed before.
///
/// # Errors
/// The lock cannot be looked at.
pub fn wait_for_end(paths: &VmPaths, patience: Duration) -> Result<bool> {
    let began = Instant::now();
    while is_alive(paths)? {
        if began.elapsed() > patience {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Lets a QEMU that was stopped by a signal go on.
pub fn go_on(paths: &VmPaths) {
    if let Some(pid) = pid(paths) {
        process::go_on(pid);
    }
}

/// Ends QEMU without asking anybody, and waits until it is gone.
///
/// # Errors
/// It does not end, or cannot be found.
pub fn kill(paths: &VmPaths) -> Result<()> {
    let began = Instant::now();
    while is_alive(paths)? {
        match pid(paths) {
            Some(pid) => {
                process::kill(pid);
                if wait_for_end(paths, END_PATIENCE)? {
                    return Ok(());
                }
                return Err(Failure::new(format!("QEMU, process {pid}, was killed and does not end")));
            }
            None if began.elapsed() > PID_PATIENCE => {
                let what = format!("something holds {} and it cannot be told what", paths.alive().display());
                return Err(Failure::new(what).hint("is a QEMU of another user or container running on it?"));
            }
            None => std::thread::sleep(PAUSE),
        }
    }
    Ok(())
}

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    /// The guest says why it cannot go on.
    Trouble(String),
    /// QEMU ended.
    Ended,
    /// Nothing, or not enough, was heard in time.
    Silent,
}

/// Watches a QEMU that was just started until its guest is ready. `first_word`: how long the guest may say nothing.
///
/// # Errors
/// The lock cannot be looked at.
pub fn watch(paths: &VmPaths, first_word: Option<Duration>, ready: Duration) -> Result<Outcome> {
    let began = Instant::now();
    loop {
        // Before the console is read: what was said until the end is then seen.
        let is_alive = is_alive(paths)?;
        let progress = serial::progress(&serial::read(&paths.console()));
        match progress {
            Progress::Ready if is_alive => return Ok(Outcome::Ready),
            Progress::Trouble(why) => return Ok(Outcome::Trouble(why)),
            _ if !is_alive => return Ok(Outcome::Ended),
            Progress::Silent if first_word.is_some_and(|patience| began.elapsed() > patience) => {
                return Ok(Outcome::Silent);
            }
            _ if began.elapsed() > ready => return Ok(Outcome::Silent),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

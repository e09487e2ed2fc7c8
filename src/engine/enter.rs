//! Running a further program in a running box.
//!
//! The program that enters is not this file but the one the box's first process runs, which nobody in the box can
//! write through (see [`crate::sys::linux::exe::sealed`]): `begin` becomes it, `main` is its entry.

use super::identity;
use super::launch::{Report, failure, report};
use super::payload::Payload;
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::linux::clone::{self, Forked, Namespaces, fork_into};
use crate::sys::linux::credentials::new_session;
use crate::sys::linux::pidfd::{Identity, Process};
use crate::sys::linux::rootdir::RootDir;
use crate::sys::linux::streams::Streams;
use crate::sys::linux::{facts, pipe, pty, signal, spawn, userns};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A program to run in a running box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enter {
    /// The box's first process.
    pub init: Identity,
    /// The box's spec: environment, working folder and restrictions are taken from its process.
    pub spec: Spec,
    pub user: String,
    /// Empty: the first of `shells`, the user's own shell, bash and sh that is there.
    pub command: Vec<String>,
    pub shells: Vec<String>,
    pub terminal: bool,
    pub single_id: bool,
    pub cgroups: Vec<PathBuf>,
    pub seccomp: Vec<PathBuf>,
}

/// Becomes the entering program. Returns only when it cannot.
pub fn begin(enter: &Enter) -> Failure {
    let prepared = serde_json::to_vec(enter)
        .trying(|| "cannot describe the command")
        .and_then(|text| pipe::memory("enter", &text))
        .and_then(|document| pipe::keep_at_exec(&document).map(|()| document));
    match prepared {
        Ok(document) => {
            let program = PathBuf::from(format!("/proc/{}/exe", enter.init.pid));
            let number = document.as_raw_fd().to_string();
            let error = spawn::become_program(&program, &["__enter", &number], &["TERM", "NO_COLOR"]);
            Failure::because("cannot enter the box", error)
        }
        Err(failure) => failure,
    }
}

/// Entry of `devenv __enter N`: runs the program described in descriptor N.
///
/// # Errors
/// The box is gone, or the program cannot be run there.
pub fn main(number: i32) -> Result<i32> {
    let mut document = File::from(spawn::inherited(number));
    let mut text = String::new();
    document.rewind().and_then(|()| document.read_to_string(&mut text)).trying(|| "cannot read the command")?;
    run(serde_json::from_str(&text).trying(|| "cannot read the command")?)
}

fn ended() -> Failure {
    Failure::new("the box is not running any more")
}

fn run(mut enter: Enter) -> Result<i32> {
    let init = enter.init.open().ok_or_else(ended)?;
    let seccomp = super::seccomp::read(&enter.seccomp)?;
    enter.cgroups.iter().try_for_each(|folder| super::limits::join(folder))?;
    // Who is in the box's user namespace already may not enter it again (setns(2)).
    let user = !userns::is_same_as(init.pid());
    let all = Namespaces { user, mount: true, pid: true, ipc: true, uts: true, net: true, cgroup: true };
    if let Err(failure) = clone::enter_of_process(init.as_fd(), all) {
        return Err(if enter.init.open().is_some() { failure } else { ended() });
    }
    facts::set_dumpable();
    let user = identity::assume(&mut enter.spec, &enter.user)?;
    if enter.command.is_empty() {
        enter.shells.push(user.shell);
        let shell = find_shell(&enter.shells)?;
        super::launch::set_arguments(&mut enter.spec, vec![shell])?;
    } else {
        super::launch::set_arguments(&mut enter.spec, std::mem::take(&mut enter.command))?;
    }
    let payload = Payload::new(&enter.spec, seccomp, enter.single_id)?;
    let terminal = enter.terminal.then(pty::open).transpose()?;
    start(payload, terminal)
}

fn find_shell(wanted: &[String]) -> Result<String> {
    let root = RootDir::open(Path::new("/"))?;
    let candidates = wanted.iter().map(String::as_str).chain(["/bin/bash", "/bin/sh"]);
    for candidate in candidates.filter(|candidate| !candidate.is_empty() && !candidate.ends_with("nologin")) {
        if !candidate.contains('/') || root.find(Path::new(candidate))?.is_some() {
            return Ok(candidate.into());
        }
    }
    Err(Failure::new("there is no shell in the box")
        .kind(Kind::CommandNotFound)
        .hint("`devenv exec -- CMD` runs other programs"))
}

fn start(payload: Payload, terminal: Option<pty::Pair>) -> Result<i32> {
    let (mut trouble, trouble_write) = pipe::new().map(|(read, write)| (File::from(read), File::from(write)))?;
    let streams = if terminal.is_none() { Streams::apart_from_terminals()? } else { Streams::default() };
    match fork_into(Namespaces::default())? {
        Forked::Child => {
            drop(trouble);
            let failed = streams.take().err().unwrap_or_else(|| become_payload(payload, terminal));
            let _ = (&trouble_write).write_all(&serde_json::to_vec(&report(&failed)).unwrap_or_default());
            std::process::exit(127)
        }
        Forked::Parent { pid, pidfd } => {
            drop(trouble_write);
            let process = Process::from_parts(pidfd, pid as u32);
            let mut text = String::new();
            let _ = trouble.read_to_string(&mut text);
            if let Ok(Report::Failed { causes, hint, command }) = serde_json::from_str(&text) {
                signal::wait_for(pid);
                return Err(failure(causes, hint, command));
            }
            match terminal {
                Some(pair) => {
                    drop(pair.terminal);
                    pty::relay(pair.controller, &process)?;
                }
                None => streams.relay(&process)?,
            }
            Ok(signal::wait_for(pid))
        }
    }
}

fn become_payload(payload: Payload, terminal: Option<pty::Pair>) -> Failure {
    new_session();
    if let Some(pair) = terminal {
        drop(pair.controller);
        if let Err(failure) = take_terminal(&pair.terminal, payload.uid()) {
            return failure;
        }
    }
    payload.run_while_watched()
}

fn take_terminal(terminal: &OwnedFd, uid: u32) -> Result<()> {
    pty::take_as_own(terminal)?;
    // So that the user can open the terminal again by its name.
    pty::give_to(terminal, uid);
    Ok(())
}

/// Gives the spec's process more variables, which win over those it has, and another working folder.
///
/// # Errors
/// The spec has no process.
pub fn adjust(spec: &mut Spec, more: &[(String, String)], folder: Option<PathBuf>) -> Result<()> {
    let mut process = super::launch::process_of(spec)?.clone();
    let mut environment = process.env().clone().unwrap_or_default();
    for (name, value) in more {
        let prefix = format!("{name}=");
        environment.retain(|entry| !entry.starts_with(&prefix));
        environment.push(format!("{prefix}{value}"));
    }
    process.set_env(Some(environment));
    if let Some(folder) = folder {
        process.set_cwd(folder);
    }
    spec.set_process(Some(process));
    Ok(())
}

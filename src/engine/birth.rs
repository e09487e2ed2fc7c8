//! The birth of a box: a fresh copy of this program, which still has one thread, makes the namespaces and puts the
//! box together; this side waits for its report.

use super::launch::{FirstProcess, Launch, Report, failure, report};
use super::payload::Payload;
use super::{identity, init, rootfs};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::clone::{self, Forked, Namespaces, fork_into, leave_into};
use crate::sys::linux::credentials::{new_session, set_host_name};
use crate::sys::linux::pidfd::Identity;
use crate::sys::linux::{facts, mount, pipe, signal, spawn, userns};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Descriptors a box is born with, in the order of their numbers from 3 on.
pub struct Belongings {
    /// Where it is written who the box's first process is, and by that in the end how its program ended.
    pub exit_record: OwnedFd,
    /// Standard output and error of the box's program.
    pub log: OwnedFd,
    pub network: OwnedFd,
    /// Held by the first process, for a keeper that comes after a lost one.
    pub router: OwnedFd,
}

const LAUNCH: i32 = 3;
const REPORT: i32 = 4;
const EXIT_RECORD: i32 = 5;
const LOG: i32 = 6;
const NETWORK: i32 = 7;
/// Number of the router's descriptor in a box's first process.
pub const ROUTER: u32 = 8;

/// Makes a box and waits until it is complete. `program` is this program, sealed ([`exe::sealed`]). To be called in
/// the user namespace of the project.
///
/// # Errors
/// What the box could not be made from; nothing of it is left then but files.
pub fn start(program: &OwnedFd, launch: &Launch, belongings: Belongings) -> Result<Identity> {
    let document = pipe::memory("launch", &serde_json::to_vec(launch).trying(|| "cannot describe the box")?)?;
    let (report_read, report_write) = pipe::new()?;
    let descriptors =
        vec![document, report_write, belongings.exit_record, belongings.log, belongings.network, belongings.router];
    // The name tells people who look at processes which box it is; the box itself sees it too.
    let name = launch.spec.hostname().clone().unwrap_or_default();
    let mut child = spawn::with_descriptors(program, &["__box", &name], descriptors)?;
    let outcome = read_reports(report_read);
    let _ = child.wait();
    outcome
}

fn read_reports(pipe: OwnedFd) -> Result<Identity> {
    let mut born = None;
    for line in BufReader::new(File::from(pipe)).lines() {
        let line = line.trying(|| "cannot read from the box")?;
        match serde_json::from_str(&line).trying(|| format!("the box reported nonsense: {line}"))? {
            Report::Born { pid } => born = Identity::of(pid),
            Report::Ready => return born.ok_or_else(|| Failure::new("the box ended at once")),
            Report::Failed { causes, hint, command } => return Err(failure(causes, hint, command)),
        }
    }
    Err(Failure::new("the box died while it was made")
        .hint("the kernel's log (dmesg) may tell: out of memory, or a security module"))
}

/// Entry of `devenv __box`: what [`start`] runs.
pub fn main() -> ExitCode {
    let mut pipe = File::from(spawn::inherited(REPORT));
    match make(&pipe) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            send(&mut pipe, &report(&failed));
            ExitCode::FAILURE
        }
    }
}

fn send(pipe: &mut File, what: &Report) {
    let line = serde_json::to_string(what).unwrap_or_default();
    let _ = writeln!(pipe, "{line}");
}

fn make(pipe: &File) -> Result<()> {
    let mut document = File::from(spawn::inherited(LAUNCH));
    let mut text = String::new();
    document
        .rewind()
        .and_then(|()| document.read_to_string(&mut text))
        .trying(|| "cannot read the box's description")?;
    let launch: Launch = serde_json::from_str(&text).trying(|| "cannot read the box's description")?;
    let exit_record = File::from(spawn::inherited(EXIT_RECORD));
    let log = spawn::inherited(LOG);
    let network = spawn::inherited(NETWORK);
    let router = spawn::inherited(ROUTER as i32);
    for folder in &launch.cgroups {
        super::limits::join(folder)?;
    }
    leave_into(Namespaces { mount: true, ..Namespaces::default() })?;
    mount::isolate(true)?;
    clone::enter(&network)?;
    drop(network);
    let mut pipe = pipe.try_clone().trying(|| "cannot report")?;
    let inner = Namespaces { pid: true, ipc: true, uts: true, cgroup: true, ..Namespaces::default() };
    // A word in it tells the child that its birth was written down and reported: it cannot be ready before it was
    // born, nor run unknown to everybody.
    let (told, tell) = pipe::new()?;
    match fork_into(inner)? {
        // The child reports the rest itself, after this process is gone.
        Forked::Parent { pid, .. } => {
            init::note_birth(pid as u32, &exit_record)?;
            send(&mut pipe, &Report::Born { pid: pid as u32 });
            (&File::from(tell)).write_all(b"x").trying(|| "the box ended at once")
        }
        Forked::Child => {
            drop(tell);
            // An end without a word: whoever made this process was killed before it wrote down that it exists.
            if File::from(told).read_exact(&mut [0]).is_err() {
                std::process::exit(255)
            }
            if let Err(failed) = live(&launch, log, exit_record, &mut pipe) {
                send(&mut pipe, &report(&failed));
            }
            drop(router);
            std::process::exit(255)
        }
    }
}

/// The life of a box's first process.
fn live(launch: &Launch, log: OwnedFd, exit_record: File, pipe: &mut File) -> Result<()> {
    signal::block_all();
    facts::set_name(c"devenv-box");
    new_session();
    let sources = rootfs::open_sources(&launch.spec)?;
    let seccomp =
        launch.seccomp.iter().map(|path| std::fs::read(path).trying(|| format!("cannot read {}", path.display())));
    let seccomp = seccomp.collect::<Result<Vec<_>>>()?;
    let root = launch.spec.root().as_ref().ok_or_else(|| Failure::new("the OCI spec names no root"))?;
    let tree = rootfs::open_root(launch, root.path())?;
    userns::become_root_if_mapped()?;
    if let Some(name) = launch.spec.hostname() {
        set_host_name(name)?;
    }
    rootfs::build(launch, tree, sources)?;
    let payload = match launch.first {
        FirstProcess::Idle => None,
        FirstProcess::Supervised | FirstProcess::Program => {
            let mut spec = launch.spec.clone();
            if let Some(user) = &launch.user {
                identity::assume(&mut spec, user)?;
            }
            Some(Payload::new(&spec, seccomp, launch.single_id)?)
        }
    };
    let program = payload.map(|payload| init::begin(payload, &log)).transpose()?;
    drop(log);
    pipe::quiet_streams()?;
    send(pipe, &Report::Ready);
    pipe::close_file(pipe);
    init::supervise(program, exit_record)
}

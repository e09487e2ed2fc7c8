//! The birth of a box: a fresh copy of this program, which still has one thread, makes the namespaces and puts the
//! box together; this side waits for its report.

use super::launch::{FirstProcess, Launch, Report, failure, report};
use super::namespaces::{self, Plan};
use super::payload::Payload;
use super::rootfs::{self, Sources};
use super::{identity, init, mounts, program};
use crate::model::{Failure, Result, Trying};
use crate::sys::environment;
use crate::sys::linux::clone::{Forked, Namespaces, fork_into, leave_into};
use crate::sys::linux::credentials::{new_session, set_host_name};
use crate::sys::linux::pidfd::Identity;
use crate::sys::linux::{facts, mount, pipe, signal, spawn, userns};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// Descriptors a box is born with, in the order of their numbers from 3 on.
pub struct Belongings {
    /// Where it is written who the box's first process is, and by that in the end how its program ended.
    pub exit_record: OwnedFd,
    /// Standard output and error of the box's program.
    pub log: OwnedFd,
    pub network: OwnedFd,
    /// Held by the first process, for a keeper that comes after a lost one.
    pub router: OwnedFd,
    /// A pipe that gets a byte when the network is made, which the program waits for.
    pub settled: OwnedFd,
}

/// Numbers of the descriptors, counted from the first one that is handed over.
const LAUNCH: i32 = 0;
const REPORT: i32 = 1;
const EXIT_RECORD: i32 = 2;
const LOG: i32 = 3;
const NETWORK: i32 = 4;
/// Number of the router's descriptor in a box's first process.
pub const ROUTER: u32 = FIRST as u32 + 5;
const SETTLED: i32 = 6;
const START: i32 = 2;
const CONSOLE: i32 = 3;

/// How long the network of a box may take: as long as whoever asks for it waits.
const SETTLING: Duration = Duration::from_secs(20);
/// The first number behind the standard streams.
const FIRST: i32 = 3;
/// The network namespace of a box of ours, as its spec names it.
pub const NETWORK_PATH: &str = "/proc/self/fd/7";

/// Makes a box and waits until it is complete. `program` is this program, sealed ([`crate::sys::linux::exe::sealed`]). To be called in
/// the user namespace of the project.
///
/// # Errors
/// What the box could not be made from; nothing of it is left then but files.
pub fn start(program: &OwnedFd, launch: &Launch, belongings: Belongings) -> Result<Identity> {
    let document = pipe::memory("launch", &serde_json::to_vec(launch).trying(|| "cannot describe the box")?)?;
    let (report_read, report_write) = pipe::new()?;
    let Belongings { exit_record, log, network, router, settled } = belongings;
    let descriptors = vec![document, report_write, exit_record, log, network, router, settled];
    // The name tells people who look at processes which box it is; the box itself sees it too.
    let name = launch.spec.hostname().clone().unwrap_or_default();
    let mut child = spawn::with_descriptors(program, &["__box", &name], descriptors)?;
    let outcome = read_reports(report_read, |_| Ok(()));
    let _ = child.wait();
    outcome
}

/// What a program that is its box's first process is born with.
pub struct ProgramBelongings {
    /// Listens; who connects to it starts the program.
    pub start: OwnedFd,
    /// Connected; gets the controlling end of the program's terminal.
    pub console: Option<OwnedFd>,
}

/// Makes a box whose first process is the spec's program, with our standard streams, and waits until all is done but
/// the start. `assembled` is called with the process's id when the box's tree is put together.
///
/// # Errors
/// What the box could not be made from, or what `assembled` says; the process is killed then.
pub fn start_program(
    program: &OwnedFd,
    launch: &Launch,
    preserved: u32,
    belongings: ProgramBelongings,
    assembled: impl FnMut(u32) -> Result<()>,
) -> Result<Identity> {
    let document = pipe::memory("launch", &serde_json::to_vec(launch).trying(|| "cannot describe the box")?)?;
    let (ours, theirs) = UnixStream::pair().trying(|| "cannot make a socket")?;
    let mut descriptors = vec![document, theirs.into(), belongings.start];
    descriptors.extend(belongings.console);
    let first = FIRST + preserved as i32;
    let name = launch.spec.hostname().clone().unwrap_or_default();
    let mut child = spawn::with_descriptors_from(first, program, &["__box", &name, &first.to_string()], descriptors)?;
    let outcome = read_reports(ours.into(), assembled);
    let _ = child.wait();
    outcome
}

fn read_reports(pipe: OwnedFd, mut assembled: impl FnMut(u32) -> Result<()>) -> Result<Identity> {
    let mut born: Option<Identity> = None;
    let mut answers = File::from(pipe.try_clone().trying(|| "no descriptors are left")?);
    let end = |born: Option<Identity>| born.and_then(|born| born.open()).iter().for_each(|p| p.signal(signal::KILL));
    for line in BufReader::new(File::from(pipe)).lines() {
        let line = line.trying(|| "cannot read from the box")?;
        match serde_json::from_str(&line).trying(|| format!("the box reported nonsense: {line}"))? {
            Report::Born { pid } => born = Identity::of(pid),
            Report::Assembled => {
                let pid = born.as_ref().map_or(0, |born| born.pid);
                let told = assembled(pid).and_then(|()| answers.write_all(b"x").trying(|| "cannot talk to the box"));
                if let Err(failure) = told {
                    end(born);
                    return Err(failure);
                }
            }
            Report::Ready => return born.ok_or_else(|| Failure::new("the box ended at once")),
            Report::Failed { causes, hint, command } => {
                end(born);
                return Err(failure(causes, hint, command));
            }
        }
    }
    Err(Failure::new("the box died while it was made")
        .hint("the kernel's log (dmesg) may tell: out of memory, or a security module"))
}

/// Entry of `devenv __box NAME [FIRST]`: what [`start`] and [`start_program`] run.
pub fn main() -> ExitCode {
    let first = environment::arguments().get(2).and_then(|word| word.to_str()?.parse().ok()).unwrap_or(FIRST);
    let mut pipe = File::from(spawn::inherited(first + REPORT));
    match make(&pipe, first) {
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

/// What the first process holds.
enum Held {
    Supervisor { log: OwnedFd, exit_record: File, router: OwnedFd, settled: OwnedFd },
    Program(ProgramBelongings),
}

impl Held {
    fn take(launch: &Launch, first: i32) -> Held {
        if !matches!(launch.first, FirstProcess::Program { .. }) {
            return Held::Supervisor {
                log: spawn::inherited(first + LOG),
                exit_record: File::from(spawn::inherited(first + EXIT_RECORD)),
                router: spawn::inherited(first + ROUTER as i32 - FIRST),
                settled: spawn::inherited(first + SETTLED),
            };
        }
        let terminal = launch.spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
        Held::Program(ProgramBelongings {
            start: spawn::inherited(first + START),
            console: terminal.then(|| spawn::inherited(first + CONSOLE)),
        })
    }
}

fn read_launch(first: i32) -> Result<Launch> {
    let mut document = File::from(spawn::inherited(first + LAUNCH));
    let mut text = String::new();
    document
        .rewind()
        .and_then(|()| document.read_to_string(&mut text))
        .trying(|| "cannot read the box's description")?;
    serde_json::from_str(&text).trying(|| "cannot read the box's description")
}

fn make(pipe: &File, first: i32) -> Result<()> {
    let launch = read_launch(first)?;
    let held = Held::take(&launch, first);
    let plan = namespaces::plan(&launch.spec)?;
    for folder in &launch.cgroups {
        super::limits::join(folder)?;
    }
    if let Some(score) = launch.spec.process().as_ref().and_then(|process| process.oom_score_adj()) {
        facts::prefer_at_memory_shortage(score);
    }
    let network = matches!(held, Held::Supervisor { .. }).then(|| spawn::inherited(first + NETWORK));
    plan.enter(&launch.spec)?;
    drop(network);
    leave_into(Namespaces { mount: true, ..Namespaces::default() })?;
    // Views taken before the namespace is cut off stay in touch with the host's mounts.
    let early = mounts::are_shared(&launch.spec).then(|| rootfs::open_sources(&launch.spec)).transpose()?;
    mount::isolate(true)?;
    let mut pipe = pipe.try_clone().trying(|| "cannot report")?;
    let inner = Namespaces { user: false, mount: false, ..plan.made };
    // A word in it tells the child that its birth was written down and reported: it cannot be ready before it was
    // born, nor run unknown to everybody.
    let (told, tell) = pipe::new()?;
    match fork_into(inner)? {
        // The child reports the rest itself, after this process is gone.
        Forked::Parent { pid, .. } => {
            if let Held::Supervisor { exit_record, .. } = &held {
                init::note_birth(pid as u32, exit_record)?;
            }
            send(&mut pipe, &Report::Born { pid: pid as u32 });
            (&File::from(tell)).write_all(b"x").trying(|| "the box ended at once")
        }
        Forked::Child => {
            drop(tell);
            // An end without a word: whoever made this process was killed before it wrote down that it exists.
            if File::from(told).read_exact(&mut [0]).is_err() {
                std::process::exit(255)
            }
            if let Err(failed) = live(&launch, &plan, early, held, &mut pipe) {
                send(&mut pipe, &report(&failed));
            }
            std::process::exit(255)
        }
    }
}

/// The life of a box's first process.
fn live(launch: &Launch, plan: &Plan, early: Option<Sources>, held: Held, pipe: &mut File) -> Result<()> {
    signal::block_all();
    facts::set_name(c"devenv-box");
    new_session();
    let sources = early.map_or_else(|| rootfs::open_sources(&launch.spec), Ok)?;
    let seccomp = super::seccomp::read(&launch.seccomp)?;
    let root = launch.spec.root().as_ref().ok_or_else(|| Failure::new("the OCI spec names no root"))?;
    let tree = rootfs::open_root(launch, root.path())?;
    userns::become_root_if_mapped()?;
    if let Some(name) = launch.spec.hostname().as_ref().filter(|name| !name.is_empty()) {
        set_host_name(name)?;
    }
    match held {
        Held::Program(belongings) => {
            program::prepare(launch, plan)?;
            let mut ask = pipe.try_clone().trying(|| "cannot report")?;
            rootfs::build(launch, tree, sources, || {
                send(&mut ask, &Report::Assembled);
                let answered = ask.read_exact(&mut [0]);
                // Nobody answers: a hook failed, or whoever makes this box is gone.
                answered.trying(|| "the making of the box was given up")?;
                program::assembled(launch)
            })?;
            let report_ready = || {
                send(pipe, &Report::Ready);
                pipe::close_file(pipe);
            };
            program::live(launch, seccomp, belongings, report_ready)
        }
        Held::Supervisor { log, exit_record, router, settled } => {
            rootfs::build(launch, tree, sources, || Ok(()))?;
            let payload = match launch.first {
                FirstProcess::Idle => None,
                FirstProcess::Supervised | FirstProcess::Program { .. } => {
                    let mut spec = launch.spec.clone();
                    if let Some(user) = &launch.user {
                        identity::assume(&mut spec, user)?;
                    }
                    Some(Payload::new(&spec, seccomp, launch.single_id)?)
                }
            };
            if payload.is_some() && !pipe::has_byte_within(&settled, SETTLING)? {
                return Err(Failure::new("the network of the box was not made"));
            }
            let program = payload.map(|payload| init::begin(payload, &log)).transpose()?;
            drop((log, settled));
            pipe::quiet_streams()?;
            send(pipe, &Report::Ready);
            pipe::close_file(pipe);
            let outcome = init::supervise(program, exit_record);
            drop(router);
            outcome
        }
    }
}

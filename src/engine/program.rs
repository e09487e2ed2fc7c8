//! A box whose first process is the program of its spec: everything is made, and the program waits for its start.

use super::launch::{FirstProcess, Launch, process_of, report};
use super::namespaces::{Plan, set_kernel_values};
use super::oci::hooks::{self, Moment};
use super::oci::state::{Place, Status};
use super::payload::Payload;
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::linux::credentials::{self, Program};
use crate::sys::linux::mount;
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use crate::sys::linux::{descriptors, facts, link, pty, signal};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// What comes before the box's tree is put together.
///
/// # Errors
/// A kernel setting is refused.
pub fn prepare(launch: &Launch, plan: &Plan) -> Result<()> {
    if plan.made.net {
        let links = link::Links::open().trying(|| "cannot talk to the box's network")?;
        links.change([link::up(LOOPBACK)]).trying(|| "cannot switch on the box's loopback")?;
    }
    if let Some(name) = launch.spec.domainname() {
        credentials::set_domain_name(name)?;
    }
    if !plan.shares(LinuxNamespaceType::User) || facts::uid() == 0 {
        credentials::new_session_keyring(&format!("_ses.{}", place(launch).id));
    }
    set_kernel_values(&launch.spec, plan)
}

/// Index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// What comes when the tree is put together, and still below the host's.
///
/// # Errors
/// A hook fails.
pub fn assembled(launch: &Launch) -> Result<()> {
    hooks::run(&launch.spec, Moment::CreateContainer, &place(launch), Status::Creating, std::process::id())
}

fn place(launch: &Launch) -> Place {
    match &launch.first {
        FirstProcess::Program { id, bundle, .. } => Place { id: id.clone(), bundle: bundle.clone() },
        FirstProcess::Idle | FirstProcess::Supervised => Place::default(),
    }
}

/// Takes the last steps, waits for the start, and becomes the program. Returns only when it cannot.
///
/// # Errors
/// What went wrong before the start; later failures are told to whoever starts it.
pub fn live(
    launch: &Launch,
    seccomp: Vec<Vec<u8>>,
    belongings: super::birth::ProgramBelongings,
    report_ready: impl FnOnce(),
) -> Result<()> {
    let FirstProcess::Program { preserved_descriptors, seccomp_flags, .. } = launch.first else {
        return Err(Failure::new("the box has a first process of ours"));
    };
    let mut spec = launch.spec.clone();
    let mut process = process_of(&spec)?.clone();
    know_home(&mut process)?;
    spec.set_process(Some(process.clone()));
    match belongings.console {
        Some(console) => take_terminal(&process, &console)?,
        None => credentials::give_streams_to(process.user().uid()),
    }
    let linux = spec.linux().as_ref();
    if let Some(wanted) = linux.and_then(|linux| linux.rootfs_propagation().as_ref()).filter(|text| !text.is_empty()) {
        let (kind, recursive) = super::mounts::propagation(wanted)
            .ok_or_else(|| Failure::new(format!("there is no mount propagation '{wanted}'")))?;
        mount::propagate_root(kind, recursive)?;
    }
    if spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false) {
        mount::make_root_readonly()?;
    }
    let listener = UnixListener::from(belongings.start);
    let payload = Payload::new(&spec, seccomp, false)?.exactly(&process, seccomp_flags, preserved_descriptors);
    let mut starter = None;
    let failed = payload.run_after(|program| {
        check_presence(program)?;
        signal::end_when_asked();
        report_ready();
        let connection = wait_for_start(&listener)?;
        let starter = starter.insert(connection);
        hooks::run(&spec, Moment::StartContainer, &place(launch), Status::Created, std::process::id()).inspect_err(
            |failure| {
                tell(starter, failure);
            },
        )
    });
    let Some(mut starter) = starter else { return Err(failed) };
    tell(&mut starter, &failed);
    // Nobody else listens any more.
    std::process::exit(1)
}

fn tell(starter: &mut UnixStream, failure: &Failure) {
    let _ = starter.write_all(&serde_json::to_vec(&report(failure)).unwrap_or_default());
    let _ = starter.shutdown(std::net::Shutdown::Both);
}

/// A program that is missing is a failure of the creation: who creates wants to know. The words are those that
/// callers look for (Go's os/exec).
fn check_presence(program: &Program) -> Result<()> {
    if program.is_there() {
        return Ok(());
    }
    let shown = program.shown();
    let why = match shown.contains('/') {
        true if !Path::new(shown).exists() => "no such file or directory",
        true => "permission denied",
        false => "executable file not found in $PATH",
    };
    Err(Failure::new(format!("exec: \"{shown}\": {why}")).kind(Kind::CommandNotFound))
}

/// Waits for somebody who says the word; who connects without saying it was only looking.
fn wait_for_start(listener: &UnixListener) -> Result<UnixStream> {
    loop {
        let (mut connection, _) = listener.accept().trying(|| "cannot wait for the start")?;
        if connection.read_exact(&mut [0]).is_ok() {
            return Ok(connection);
        }
    }
}

/// HOME from the box's own passwd file where the spec has none, as runc does.
fn know_home(process: &mut Process) -> Result<()> {
    let mut environment = process.env().clone().unwrap_or_default();
    if environment.iter().any(|entry| entry.strip_prefix("HOME=").is_some_and(|home| !home.is_empty())) {
        return Ok(());
    }
    let passwd = RootDir::open(Path::new("/"))?.read(Path::new("/etc/passwd"));
    let uid = process.user().uid();
    let home = facts::accounts(&passwd).find(|account| account.uid == uid).map_or("/".to_owned(), |found| found.home);
    environment.retain(|entry| !entry.starts_with("HOME="));
    environment.push(format!("HOME={home}"));
    process.set_env(Some(environment));
    Ok(())
}

/// Opens a terminal of the box, sends its controlling end to whoever wants it, and makes the other end ours.
fn take_terminal(process: &Process, console: &OwnedFd) -> Result<()> {
    let pair = pty::open()?;
    if let Some(size) = process.console_size().as_ref() {
        let cells = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        pty::set_size(&pair.controller, cells(size.height()), cells(size.width()));
    }
    let root = RootDir::open(Path::new("/"))?;
    let place = root.place(Path::new("/dev/console"), PlaceKind::File)?;
    mount::attach(&mount::view_of(&pair.terminal)?, place).trying(|| "cannot make the box's /dev/console")?;
    let sent = descriptors::send(console, b"/dev/pts/ptmx", &[pair.controller.as_fd()]);
    sent.trying(|| "cannot send the box's terminal to the console socket")?;
    pty::give_to(&pair.terminal, process.user().uid());
    pty::take_as_own(&pair.terminal)
}

/// Whether the spec's program wants a terminal.
pub fn wants_terminal(spec: &Spec) -> bool {
    spec.process().as_ref().and_then(Process::terminal).unwrap_or(false)
}

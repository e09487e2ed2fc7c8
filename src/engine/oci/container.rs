//! The life of a container: create, start, kill, delete.

use super::hooks::{self, Moment};
use super::state::{Container, Place, START_SOCKET, Status, folder};
use super::{bundle, filter, groups};
use crate::engine::birth::{self, ProgramBelongings};
use crate::engine::launch::{FirstProcess, Launch, Report, Root, failure};
use crate::engine::program::wants_terminal;
use crate::model::oci::CreateRequest;
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::fs::{make_private_folder, remove_tree_if_exists, write_atomically};
use crate::sys::linux::pidfd::Identity;
use crate::sys::linux::seccomp::Flags;
use crate::sys::linux::{clock, exe, signal, unix, userns};
use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the container that a bundle describes, up to the point where its program would run.
///
/// # Errors
/// What it could not be made from; nothing of it is left then.
pub fn create(root: &Path, request: &CreateRequest, architecture: &str) -> Result<()> {
    let folder = folder(root, &request.id)?;
    let bundle = bundle::find(&request.bundle)?;
    let spec = bundle::read(&bundle)?;
    match (wants_terminal(&spec), &request.console_socket) {
        (true, None) => {
            return Err(Failure::new("cannot allocate tty if runc will detach without setting console socket"));
        }
        (false, Some(_)) => {
            return Err(Failure::new("cannot use console socket if runc will not detach or allocate tty"));
        }
        _ => {}
    }
    std::fs::create_dir_all(root).trying(|| format!("cannot make the folder {}", root.display()))?;
    if let Err(error) = std::fs::create_dir(&folder) {
        return Err(match error.kind() {
            ErrorKind::AlreadyExists => Failure::new(format!("container with given ID already exists: {}", request.id)),
            _ => Failure::because(format!("cannot make the folder {}", folder.display()), error),
        });
    }
    let mut making = Making { folder, cgroups: Vec::new(), place: Place { id: request.id.clone(), bundle } };
    let made = making.make(spec, request, architecture);
    if made.is_err() {
        groups::signal_all(&making.cgroups, signal::KILL);
        groups::remove(&making.cgroups);
        let _ = remove_tree_if_exists(&making.folder);
    }
    made
}

struct Making {
    folder: PathBuf,
    cgroups: Vec<PathBuf>,
    place: Place,
}

impl Making {
    fn make(&mut self, mut spec: Spec, request: &CreateRequest, architecture: &str) -> Result<()> {
        make_private_folder(&self.folder)?;
        let (seccomp, seccomp_flags) = self.compile(&spec, architecture)?;
        self.cgroups = groups::make(&spec, &self.place.id)?;
        if !groups::keep_devices(&self.cgroups) {
            keep_from_devices(&mut spec);
        }
        let start = unix::listen(&self.folder.join(START_SOCKET)).trying(|| "cannot make the socket for the start")?;
        let console = request.console_socket.as_deref().map(connect_console).transpose()?;
        let launch = Launch {
            spec,
            root: Root::Folder,
            files: Vec::new(),
            authorities: Vec::new(),
            account: None,
            user: None,
            single_id: false,
            first: FirstProcess::Program {
                id: self.place.id.clone(),
                bundle: self.place.bundle.clone(),
                preserved_descriptors: request.preserved_descriptors,
                seccomp_flags,
            },
            cgroups: self.cgroups.clone(),
            seccomp,
        };
        let belongings = ProgramBelongings { start: start.into(), console };
        let record = |init: Identity, complete: bool| Container {
            place: self.place.clone(),
            created: clock::now_rfc3339(),
            init,
            complete,
            cgroups: self.cgroups.clone(),
            spec: launch.spec.clone(),
            folder: self.folder.clone(),
        };
        let (place, spec) = (&self.place, &launch.spec);
        let init = birth::start_program(&exe::sealed()?, &launch, request.preserved_descriptors, belongings, |pid| {
            let init = Identity::of(pid).ok_or_else(|| Failure::new("the container's first process died"))?;
            record(init, false).write()?;
            hooks::run(spec, Moment::Prestart, place, Status::Creating, pid)?;
            hooks::run(spec, Moment::CreateRuntime, place, Status::Creating, pid)
        })?;
        let container = record(init, true);
        let written = container.write().and_then(|()| match &request.pid_file {
            Some(path) => write_atomically(path, container.init.pid.to_string().as_bytes()),
            None => Ok(()),
        });
        if written.is_err() {
            end(&container);
        }
        written
    }

    fn compile(&self, spec: &Spec, architecture: &str) -> Result<(Vec<PathBuf>, Flags)> {
        let Some(seccomp) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else {
            return Ok((Vec::new(), Flags::default()));
        };
        let (programs, flags) = filter::programs(seccomp, architecture)?;
        let mut paths = Vec::new();
        for (number, program) in programs.iter().enumerate() {
            let path = self.folder.join(format!("seccomp-{number}.bpf"));
            std::fs::write(&path, program).trying(|| format!("cannot write {}", path.display()))?;
            paths.push(path);
        }
        Ok((paths, flags))
    }
}

/// Where no control group keeps the container from devices (version 2 has no files for it), it gets no way to make any:
/// not the capability. In a user namespace it has none anyhow.
fn keep_from_devices(spec: &mut Spec) {
    let in_user_namespace = !userns::is_first()
        || spec
            .linux()
            .iter()
            .flat_map(|linux| linux.namespaces().iter().flatten())
            .any(|namespace| namespace.typ() == LinuxNamespaceType::User);
    let rules = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()).and_then(|r| r.devices().clone());
    let last_for_all =
        rules.iter().flatten().rev().find(|rule| rule.typ().is_none_or(|kind| kind == Default::default()));
    let all_allowed = last_for_all.is_some_and(|rule| rule.allow());
    let Some(mut process) = spec.process().clone().filter(|_| !in_user_namespace && !all_allowed) else { return };
    let Some(mut sets) = process.capabilities().clone() else { return };
    let without = |set: &Option<HashSet<Capability>>| {
        set.clone().map(|set| set.into_iter().filter(|one| *one != Capability::Mknod).collect::<HashSet<_>>())
    };
    sets.set_bounding(without(sets.bounding()));
    sets.set_effective(without(sets.effective()));
    sets.set_permitted(without(sets.permitted()));
    sets.set_inheritable(without(sets.inheritable()));
    sets.set_ambient(without(sets.ambient()));
    process.set_capabilities(Some(sets));
    spec.set_process(Some(process));
}

fn connect_console(path: &Path) -> Result<OwnedFd> {
    let connected =
        unix::connect(path).trying(|| format!("cannot connect to the console socket {}", path.display()))?;
    Ok(connected.into())
}

/// Has a created container's program run. Hooks that fail after it are told to `warn`.
///
/// # Errors
/// The container is not waiting for its start, a hook before it fails, or the program cannot be executed.
pub fn start(root: &Path, id: &str, warn: &mut dyn FnMut(Failure)) -> Result<()> {
    let container = Container::read(root, id)?;
    match container.look().0 {
        Status::Created => {}
        Status::Stopped => return Err(Failure::new("cannot start a container that has stopped")),
        Status::Creating => return Err(Failure::new("cannot start a container that is still being made")),
        Status::Running => return Err(Failure::new("cannot start an already running container")),
    }
    let socket = container.start_socket();
    let mut connection = unix::connect(&socket).trying(|| "cannot start the container")?;
    let taken = std::fs::remove_file(&socket);
    taken.map_err(|_| Failure::new("cannot start an already running container"))?;
    let mut answer = String::new();
    connection
        .write_all(b"x")
        .and_then(|()| connection.read_to_string(&mut answer))
        .trying(|| "cannot hear from the container")?;
    if let Ok(Report::Failed { causes, hint, command }) = serde_json::from_str(&answer) {
        return Err(failure(causes, hint, command));
    }
    let (place, pid) = (&container.place, container.init.pid);
    hooks::run_all(&container.spec, Moment::Poststart, place, Status::Running, pid, warn);
    Ok(())
}

/// Sends `number` to the container's first process, or to all of them.
///
/// # Errors
/// It does not run.
pub fn kill(root: &Path, id: &str, number: i32, all: bool) -> Result<()> {
    let container = Container::read(root, id)?;
    if all {
        groups::signal_all(&container.cgroups, number);
        return Ok(());
    }
    match container.look() {
        (_, Some(process)) => {
            process.signal(number);
            Ok(())
        }
        // The words that callers look for.
        (_, None) => Err(Failure::new("container not running").kind(Kind::NotFound)),
    }
}

/// How long a killed process may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes what is left of a container. `force` ends one that runs, and finds nothing wrong with one that is not there.
///
/// # Errors
/// It runs.
pub fn delete(root: &Path, id: &str, force: bool, warn: &mut dyn FnMut(Failure)) -> Result<()> {
    let container = match Container::read(root, id) {
        Err(failure) if failure.get_kind() == Kind::NotFound => {
            // A creation that was killed leaves its folder.
            remove_tree_if_exists(&folder(root, id)?)?;
            return if force { Ok(()) } else { Err(failure) };
        }
        other => other?,
    };
    let (status, _) = container.look();
    if matches!(status, Status::Running | Status::Creating) && !force {
        let said = format!("cannot delete container {id} that is not stopped: {}", status.name());
        return Err(Failure::new(said).hint("`kill` it before, or use --force"));
    }
    end(&container);
    groups::remove(&container.cgroups);
    hooks::run_all(&container.spec, Moment::Poststop, &container.place, Status::Stopped, 0, warn);
    remove_tree_if_exists(&container.folder)
}

/// Ends whatever of the container lives: without a pid namespace of its own that is more than the first process.
fn end(container: &Container) {
    if let Some(process) = container.init.open() {
        process.signal(signal::KILL);
        process.wait(PATIENCE);
    }
    groups::signal_all(&container.cgroups, signal::KILL);
}

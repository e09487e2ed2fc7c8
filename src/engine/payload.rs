//! A program about to run in a box: everything is decided, and the last steps are taken in the one order that works.

use super::launch::process_of;
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::capability::{self, Set, Sets};
use crate::sys::linux::credentials::{self, Program, become_user, stand_in};
use crate::sys::linux::seccomp::Flags;
use crate::sys::linux::userns::{self, IdMap, IdRange, MapWriter};
use crate::sys::linux::{clone, facts, seccomp, signal};
use oci_spec::runtime::{Capability, PosixRlimitType, Process, Spec};
use std::path::PathBuf;

/// A program with the identity and the limits it gets.
pub struct Payload {
    program: Program,
    folder: PathBuf,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    sets: Option<Sets>,
    no_new_privileges: bool,
    seccomp: Vec<Vec<u8>>,
    umask: u32,
    limits: Limits,
    seccomp_flags: Flags,
    /// The first descriptor that the program does not get.
    first_closed: u32,
    /// Only one id is mapped, and it has to appear as the program's user.
    single_id: bool,
    watched: bool,
}

impl Payload {
    /// Reads what `spec` says of its process. `seccomp` are compiled programs. With `single_id` the only id there is
    /// appears as the program's user.
    ///
    /// # Errors
    /// The spec names no program, or a capability that does not exist.
    pub fn new(spec: &Spec, seccomp: Vec<Vec<u8>>, single_id: bool) -> Result<Payload> {
        let process = process_of(spec)?;
        let arguments = process.args().clone().unwrap_or_default();
        let environment = process.env().clone().unwrap_or_default();
        let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        Ok(Payload {
            program: Program::new(&arguments, &environment, path)?,
            folder: process.cwd().clone(),
            uid: process.user().uid(),
            gid: process.user().gid(),
            groups: process.user().additional_gids().clone().unwrap_or_default(),
            sets: capability_sets(process)?,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp,
            umask: process.user().umask().unwrap_or(LOGIN_UMASK),
            limits: Limits::OpenFiles(open_files(process)),
            seccomp_flags: Flags::default(),
            first_closed: 3,
            single_id,
            watched: false,
        })
    }

    /// Who the program runs as.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// As [`Payload::run`]; the program is told to hang up when the process that watches it dies.
    pub fn run_while_watched(mut self) -> Failure {
        self.watched = true;
        self.run()
    }

    /// Becomes the program. Returns only when it cannot.
    pub fn run(self) -> Failure {
        self.run_after(|_| Ok(()))
    }

    /// Takes every limit of `process` as it stands, and leaves the program `preserved` descriptors behind the standard
    /// streams.
    #[must_use]
    pub fn exactly(mut self, process: &Process, flags: Flags, preserved: u32) -> Payload {
        let all = process.rlimits().iter().flatten();
        let numbers = all.map(|limit| (limit.typ().to_string(), limit.soft(), limit.hard()));
        self.limits = Limits::All(numbers.collect());
        // None named is none given.
        self.sets.get_or_insert_default();
        self.seccomp_flags = flags;
        self.first_closed = 3 + preserved;
        self
    }

    /// As [`Payload::run`]; `wait` comes when everything is done but the loading of the seccomp list.
    pub fn run_after(self, wait: impl FnOnce(&Program) -> Result<()>) -> Failure {
        let prepared = self.prepare().and_then(|()| wait(&self.program)).and_then(|()| self.confine());
        match prepared {
            Ok(()) => self.program.execute(),
            Err(failure) => failure,
        }
    }

    /// Loads the seccomp list, as the last step: it is made for the program and may lack what our own steps call.
    fn confine(&self) -> Result<()> {
        capability::raise(self.needed_to_confine())?;
        self.seccomp.iter().try_for_each(|program| seccomp::load_with(program, self.seccomp_flags))
    }

    /// Who may gain privileges needs this one to load a list (seccomp(2)). The program gets it only if it is its own:
    /// it is neither inheritable nor ambient.
    fn needed_to_confine(&self) -> Set {
        if self.no_new_privileges || self.seccomp.is_empty() { Set::default() } else { Set::SYS_ADMIN }
    }

    fn prepare(&self) -> Result<()> {
        signal::restore_defaults();
        credentials::set_umask(self.umask);
        self.limits.set()?;
        if self.single_id {
            appear_as(self.uid, self.gid)?;
        }
        // Until the program is executed nobody in the box may look into this process.
        facts::clear_dumpable();
        credentials::close_others_at_exec(self.first_closed);
        if let Some(sets) = &self.sets {
            capability::limit_bounding(sets)?;
        }
        capability::keep_over_setuid();
        become_user(self.uid, self.gid, &self.groups)?;
        if self.watched {
            // After the change of ids, which clears it (prctl(2)).
            signal::on_death_of_parent(signal::HANG_UP);
        }
        // After becoming the user: the folder may be one that only the user may enter.
        stand_in(&self.folder)?;
        if let Some(sets) = &self.sets {
            capability::apply(sets, self.needed_to_confine())?;
        }
        if self.no_new_privileges {
            seccomp::forbid_new_privileges()?;
        }
        Ok(())
    }
}

/// The umask of a login (login.defs(5)).
const LOGIN_UMASK: u32 = 0o022;

/// PATH where an image sets none (Docker's default).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Enters a nested user namespace in which our single id has the wanted numbers.
fn appear_as(uid: u32, gid: u32) -> Result<()> {
    let (own_uid, own_gid) = (facts::uid(), facts::gid());
    if (own_uid, own_gid) == (uid, gid) {
        return Ok(());
    }
    clone::leave_into(clone::Namespaces { user: true, ..Default::default() })?;
    let one = |inside, outside| vec![IdRange { inside, outside, count: 1 }];
    let map = IdMap { uids: one(uid, own_uid), gids: one(gid, own_gid), writer: MapWriter::Own };
    userns::write_child_map(std::process::id() as i32, &map)
        .trying(|| format!("cannot appear as user {uid} with the one id there is"))
}

fn capability_sets(process: &Process) -> Result<Option<Sets>> {
    let Some(wanted) = process.capabilities() else { return Ok(None) };
    let set = |names: &Option<std::collections::HashSet<Capability>>| -> Result<Set> {
        // `Display` of the crate leaves the prefix out.
        let names = names.iter().flatten().map(|capability| {
            let name = capability.to_string();
            if name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
        });
        Set::of(names)
    };
    Ok(Some(Sets {
        bounding: set(wanted.bounding())?,
        effective: set(wanted.effective())?,
        permitted: set(wanted.permitted())?,
        inheritable: set(wanted.inheritable())?,
        ambient: set(wanted.ambient())?,
    }))
}

/// What the resources of a program are limited to.
enum Limits {
    /// The soft limit of open files, as far as allowed.
    OpenFiles(Option<u64>),
    /// Names with soft and hard values; each has to be set.
    All(Vec<(String, u64, u64)>),
}

impl Limits {
    fn set(&self) -> Result<()> {
        match self {
            Limits::OpenFiles(soft) => {
                soft.iter().for_each(|soft| credentials::limit_open_files(*soft));
                Ok(())
            }
            Limits::All(limits) => {
                limits.iter().try_for_each(|(name, soft, hard)| credentials::limit_resource(name, *soft, *hard))
            }
        }
    }
}

fn open_files(process: &Process) -> Option<u64> {
    let limits = process.rlimits().as_ref()?;
    limits.iter().find(|limit| limit.typ() == PosixRlimitType::RlimitNofile).map(|limit| limit.soft())
}

//! `up`: makes what the file says true.

use super::making::{self, Start};
use super::net;
use super::setup;
use super::site::{KnownBox, Site};
use super::status;
use super::undo::Undo;
use super::wiring::Wiring;
use crate::engine::scope;
use crate::image::Store;
use crate::model::request::{UpReply, UpRequest};
use crate::model::{BoxName, BoxWanted, Failure, Kind, Project, Result};
use crate::ops::Context;
use crate::ops::here::base::Base;
use crate::ops::here::hooks;
use crate::ops::plan::{Step, in_order, plan};
use crate::state::ProjectRecord;
use crate::state::record::box_names;
use crate::sys::fs::remove_tree_if_exists;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::{exe, interrupt, quiet};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a box with a program is watched at most after its start, to tell at once when the program fails at once.
const FIRST_MOMENTS: Duration = Duration::from_millis(40);
/// How often it has to be seen waiting, and how long between two looks.
const QUIET_LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Makes the project as its file says; with `dry_run` only says how.
///
/// # Errors
/// What could not be made true; what this call began is undone then.
pub fn up(context: &Context, request: &UpRequest) -> Result<UpReply> {
    let site = Site::open(context)?;
    let project = site.load()?;
    if request.dry_run {
        let steps = steps(&site, &project, &site.boxes()?, request)?;
        let steps = steps.iter().map(Step::to_string).collect();
        return Ok(UpReply { status: status::of(&site, Some(&project))?, steps });
    }
    if project.boxes.iter().any(|wanted| !wanted.limits.is_unlimited()) {
        scope::go_where_groups_can_be_made();
    }
    interrupt::watch();
    site.lock().and_then(|_lock| make(&site, &project, request)).map_err(name_interrupt)?;
    Ok(UpReply { status: status::of(&site, Some(&project))?, steps: Vec::new() })
}

fn steps(
    site: &Site,
    project: &Project,
    boxes: &BTreeMap<BoxName, KnownBox>,
    request: &UpRequest,
) -> Result<Vec<Step>> {
    let actual = boxes.iter().map(|(name, known)| (name.clone(), known.actual())).collect();
    let store = site.computer.store()?;
    plan(&project.boxes, &actual, &|wanted| site.current_digest(&store, wanted), &request.only)
}

/// Makes the project so. The caller holds its lock.
///
/// # Errors
/// As [`up`].
pub fn make(site: &Site, project: &Project, request: &UpRequest) -> Result<()> {
    let boxes = site.own_boxes()?;
    let steps = steps(site, project, &boxes, request)?;
    let old = site.record()?;
    if steps.is_empty() && old.is_some() && net::keeper(site).is_some() {
        return Ok(());
    }
    Up { site, project, boxes, steps, undo: Undo::default(), program: None }.run(old)
}

struct Up<'a> {
    site: &'a Site<'a>,
    project: &'a Project,
    boxes: BTreeMap<BoxName, KnownBox>,
    steps: Vec<Step>,
    undo: Undo,
    /// This program, sealed.
    program: Option<OwnedFd>,
}

impl Up<'_> {
    fn run(mut self, old: Option<ProjectRecord>) -> Result<()> {
        let done = self.take_steps(old);
        match done {
            Ok(started) => {
                self.tell_end_with_login(&started);
                self.tell_first_moments(&started)
            }
            Err(failure) => {
                self.undo.all(self.site, &mut self.boxes);
                Err(failure)
            }
        }
    }

    fn take_steps(&mut self, old: Option<ProjectRecord>) -> Result<Vec<BoxName>> {
        let site = self.site;
        let running = self.running_after();
        let record = net::settle(site, self.project, old.clone(), &running, &self.boxes)?;
        let network = net::plan(&record, &self.project.network, running.iter().copied());
        let bound = net::claim_ports(site, &network, old.as_ref())?;
        site.enter(&self.boxes)?;
        self.sweep()?;
        let store = site.computer.store()?;
        let bases = self.obtain(&store)?;
        self.go()?;
        self.undo.note_network(old.as_ref());
        let program = &mut self.program;
        let seal = || sealed(program).map(drop);
        let mut wiring = Wiring::begin(site, &self.boxes, record, network, &bound, seal)?;
        let bases = self.set_up(&store, bases, &mut wiring)?;
        let started = self.come(&bases, &mut wiring)?;
        wiring.settle(site)?;
        for name in &started {
            hooks::run(site, self.project, self.boxes.get_mut(name), name)?;
        }
        Ok(started)
    }

    /// Boxes in a group of systemd's user manager end with it, and it with the person's last login.
    fn tell_end_with_login(&self, started: &[BoxName]) {
        let is_limited =
            |name: &BoxName| !self.boxes.get(name).is_none_or(|known| known.record.wanted.limits.is_unlimited());
        if started.iter().any(is_limited) && scope::ends_with_login(&self.site.computer.person.name) {
            let what = "boxes with `resources` end with your last login here; `loginctl enable-linger` lets them go on";
            self.site.context.events.note(what);
        }
    }

    /// Removes what a killed `devenv` left of boxes that it had not recorded yet.
    fn sweep(&self) -> Result<()> {
        let names = box_names(&self.site.paths)?;
        let mut unknown = names.iter().filter(|name| !self.boxes.contains_key(name));
        unknown.try_for_each(|name| {
            let paths = self.site.paths.a_box(name);
            making::remove_group(&paths);
            remove_tree_if_exists(paths.folder())
        })
    }

    /// The boxes that run when all is done.
    fn running_after(&self) -> Vec<&BoxWanted> {
        let starts: BTreeSet<&BoxName> = self
            .steps
            .iter()
            .filter_map(|step| if let Step::Start { name } = step { Some(name) } else { None })
            .collect();
        let removed =
            |name: &BoxName| self.steps.iter().any(|s| matches!(s, Step::Remove { name: gone, .. } if gone == name));
        let stays = |name: &BoxName| self.boxes.get(name).is_some_and(|known| known.is_running()) && !removed(name);
        let wanted = in_order(&self.project.boxes).into_iter().filter(|b| starts.contains(&b.name) || stays(&b.name));
        wanted.collect()
    }

    /// The bases of all boxes that are created or started.
    fn obtain(&self, store: &Store) -> Result<BTreeMap<BoxName, Base>> {
        let mut bases = BTreeMap::new();
        for step in &self.steps {
            let Step::Start { name } = step else { continue };
            let Some(wanted) = self.project.get_box(name) else { continue };
            check_interrupt()?;
            let base = self.site.obtain(store, wanted)?;
            if making::words(wanted, &base.config).is_empty() && !name.is_dev() {
                return Err(Failure::new(format!("there is nothing for {name} to run"))
                    .kind(Kind::Usage)
                    .hint(format!("its image names no command: give [services.{name}] a `command`")));
            }
            bases.insert(name.clone(), base);
        }
        Ok(bases)
    }

    /// Takes the steps that take away.
    fn go(&mut self) -> Result<()> {
        for step in &self.steps {
            check_interrupt()?;
            match step {
                Step::Stop { name, reason } => {
                    self.site.context.events.step(format!("stopping {name}: {reason}"));
                    if let Some(known) = self.boxes.get_mut(name) {
                        making::stop(self.site, known)?;
                    }
                }
                Step::Remove { name, .. } => {
                    if let Some(known) = self.boxes.remove(name) {
                        making::remove(self.site, &known.record)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Runs the setup lines of boxes that are created, and puts their layers on top.
    fn set_up(
        &mut self,
        store: &Store,
        mut bases: BTreeMap<BoxName, Base>,
        wiring: &mut Wiring,
    ) -> Result<BTreeMap<BoxName, Base>> {
        for step in &self.steps {
            let Step::Create { name } = step else { continue };
            let (Some(wanted), Some(base)) = (self.project.get_box(name), bases.get_mut(name)) else { continue };
            if !wanted.setup.is_empty() {
                let program = sealed(&mut self.program)?;
                let layer = setup::layer(self.site, store, program, wanted, base, wiring)?;
                base.layers.push(layer);
            }
        }
        Ok(bases)
    }

    /// Takes the steps that make.
    fn come(&mut self, bases: &BTreeMap<BoxName, Base>, wiring: &mut Wiring) -> Result<Vec<BoxName>> {
        let mut started = Vec::new();
        for step in self.steps.clone() {
            check_interrupt()?;
            match step {
                Step::Create { name } => {
                    let (Some(wanted), Some(base)) = (self.project.get_box(&name), bases.get(&name)) else { continue };
                    self.undo.created(&name);
                    let mut record = making::create(self.site, wanted, base)?;
                    // Without lines to run there is nothing to remember of it.
                    record.created = self.project.created_hooks.is_empty();
                    self.boxes.insert(name, KnownBox { record, process: None });
                }
                Step::Start { name } => {
                    let (Some(wanted), Some(base)) = (self.project.get_box(&name), bases.get(&name)) else { continue };
                    self.undo.started(&name);
                    self.start(wanted, base, wiring)?;
                    started.push(name);
                }
                Step::Adjust { name, .. } => {
                    let (Some(wanted), Some(known)) = (self.project.get_box(&name), self.boxes.get_mut(&name)) else {
                        continue;
                    };
                    known.record.wanted = wanted.clone();
                    let paths = self.site.paths.a_box(&name);
                    if let Some(address) = wiring.record.addresses.get(&name) {
                        making::write_network_files(wanted, &paths, *address, net::gateway(&wiring.record))?;
                    }
                    known.record.write(&paths)?;
                }
                Step::Stop { .. } | Step::Remove { .. } => {}
            }
        }
        Ok(started)
    }

    fn start(&mut self, wanted: &BoxWanted, base: &Base, wiring: &mut Wiring) -> Result<()> {
        let site = self.site;
        let paths = site.paths.a_box(&wanted.name);
        let known = self.boxes.get_mut(&wanted.name).ok_or_else(|| Failure::new("a box to start is not there"))?;
        let start = Start {
            wanted,
            config: &base.config,
            words: making::words(wanted, &base.config),
            user: making::default_user(site, wanted, &base.config),
            root: making::root_of(site, wanted, &known.record.layers, paths.layer(), paths.work()),
            paths: &paths,
        };
        let program = sealed(&mut self.program)?;
        let life = match making::start(site, program, &start, wiring.surroundings(&wanted.name)?) {
            Ok(life) => life,
            // A box whose network failed knows less about it than the keeper.
            Err(failure) => return wiring.settle(site).and(Err(failure)),
        };
        let process = life.init.open();
        known.process = process;
        known.record.wanted = wanted.clone();
        known.record.stopped = false;
        known.record.life = Some(life);
        // By its record others find the box, and may run programs in it.
        wiring.settle(site)?;
        known.record.write(&paths)?;
        site.context.events.done(format!("started {}", wanted.name));
        Ok(())
    }

    /// Tells of boxes whose program ended at once.
    fn tell_first_moments(&self, started: &[BoxName]) -> Result<()> {
        for name in started {
            let Some(known) = self.boxes.get(name) else { continue };
            let (Some(process), Some(wanted)) = (&known.process, self.project.get_box(name)) else { continue };
            let runs_nothing = name.is_dev() && wanted.command.is_none() && wanted.entrypoint.is_none();
            if runs_nothing || !ends_at_once(process) {
                continue;
            }
            let paths = self.site.paths.a_box(name);
            let code = making::exit_record(&paths).map_or(137, |record| record.exit_code);
            if code == 0 {
                self.site.context.events.note(format!("{name} has done its work and ended (exit code 0)"));
                continue;
            }
            let log = std::fs::read(paths.log()).unwrap_or_default();
            let last = super::logs::last_lines(&log, 5);
            let said = String::from_utf8_lossy(last).trim_end().to_owned();
            let failure = Failure::new(format!("{name} ended at once with exit code {code}"))
                .kind(Kind::EndedAtOnce)
                .hint(format!("`devenv logs {name}` shows all it wrote; `devenv exec` works in the other boxes"));
            return Err(if said.is_empty() {
                failure
            } else {
                let hint = failure.get_hint().unwrap_or_default().to_owned();
                Failure::because(failure.to_string(), said).kind(Kind::EndedAtOnce).hint(hint)
            });
        }
        Ok(())
    }
}

/// Watches a box's first moments: until its program has ended, or waits for something to happen.
fn ends_at_once(process: &Process) -> bool {
    let deadline = Instant::now() + FIRST_MOMENTS;
    let mut quiet = 0;
    while Instant::now() < deadline && quiet < QUIET_LOOKS {
        if process.wait(BETWEEN_LOOKS) {
            return true;
        }
        quiet = if quiet::descendants_wait(process.pid()) == Some(true) { quiet + 1 } else { 0 };
    }
    process.has_ended()
}

fn sealed(program: &mut Option<OwnedFd>) -> Result<&OwnedFd> {
    if program.is_none() {
        *program = Some(exe::sealed()?);
    }
    Ok(program.as_ref().expect("it was just made"))
}

/// Stops long work after Ctrl-C.
///
/// # Errors
/// Somebody wants us to stop.
pub fn check_interrupt() -> Result<()> {
    if interrupt::wanted() { Err(interrupted()) } else { Ok(()) }
}

fn interrupted() -> Failure {
    Failure::new("interrupted").kind(Kind::Interrupted).hint("`devenv up` goes on from here")
}

/// Ctrl-C reaches the programs we run as well, so what fails afterwards fails for that reason.
fn name_interrupt(failure: Failure) -> Failure {
    if interrupt::wanted() && failure.get_kind() != Kind::Interrupted { interrupted() } else { failure }
}

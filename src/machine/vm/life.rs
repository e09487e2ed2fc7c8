//! The VM's life as verbs ask for it: start, stop, remove, look.

use super::accel::{self, Choice, Verdict};
use super::alive::{self, Condition, Pause};
use super::argv::{Architecture, DISK_NODE};
use super::keys::Keys;
use super::pack::{self, Fetch, Found};
use super::qemu::{self, Qemu, System};
use super::qmp::Monitor;
use super::record::Record;
use super::size::Size;
use super::{birth, disk, framework, program};
use crate::machine::ssh::Address;
use crate::model::vm::{Driver, GuestPack, VmSettings, VmState, VmStatus};
use crate::model::{Events, Failure, Result, VmPaths};
use crate::sys::fs::{Lock, lock, make_folder, make_private_folder, remove_file_if_exists, remove_tree_if_exists};
use std::time::Duration;

/// How long a guest may take to end its boxes and write everything to its disk.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(30);
/// How long QEMU may take to end when told to.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long QEMU may take to answer its monitor.
const MONITOR_PATIENCE: Duration = Duration::from_secs(5);

/// The managed VM of this user.
pub struct Vm<'a> {
    pub paths: &'a VmPaths,
    pub settings: &'a VmSettings,
    pub events: &'a dyn Events,
    /// A pack that the person named (`vm.guest`, DEVENV_GUEST).
    pub chosen_pack: Option<GuestPack>,
    pub fetch_pack: Fetch<'a>,
    /// Asks the guest to end itself.
    pub ask_to_end: &'a dyn Fn(&Access) -> Result<()>,
}

/// How to reach a VM that runs.
#[derive(Clone)]
pub struct Access {
    pub address: Address,
    pub keys: Keys,
    /// The guest runs another build of this program than the one that asks.
    pub is_outdated: bool,
}

/// What makes the machine.
pub enum Means {
    /// And the accelerator that is tried.
    Qemu(Qemu, Choice),
    /// Apple's Virtualization.framework. `note`: what the user should know of the choice.
    Framework { note: Option<&'static str> },
}

impl Vm<'_> {
    /// Has the VM run, starting or healing it as needed.
    ///
    /// # Errors
    /// There is no QEMU, no guest pack or no room; or the guest does not come up.
    pub fn start(&self) -> Result<Access> {
        let _lock = self.lock()?;
        if let Some(record) = self.revive()? {
            self.grow(&record)?;
            return self.access(&record);
        }
        self.events.step("starting the VM");
        let record = birth::start(self)?;
        let access = self.access(&record)?;
        self.events.done(format!("started the VM ({} cpus, {})", record.cpus, record.accelerator));
        Ok(access)
    }

    /// The VM, when it runs.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn running(&self) -> Result<Option<Access>> {
        match alive::examine(self.paths)? {
            Condition::Running(record) => self.access(&record).map(Some),
            _ => Ok(None),
        }
    }

    /// Ends the VM: by its guest, by QEMU, by the kernel, whichever does it. False when none ran.
    ///
    /// # Errors
    /// It does not end at all.
    pub fn stop(&self) -> Result<bool> {
        if !self.paths.folder().exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        self.stop_locked()
    }

    /// Ends the VM and removes it with its disk.
    ///
    /// # Errors
    /// It does not end, or something cannot be removed.
    pub fn remove(&self) -> Result<()> {
        if !self.paths.folder().exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.stop_locked()?;
        remove_tree_if_exists(self.paths.run())?;
        remove_tree_if_exists(self.paths.folder())
    }

    /// How it fares, changing nothing.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn status(&self) -> Result<VmStatus> {
        let size = Size::of(self.settings);
        let disk = disk::sizes(&self.paths.disk());
        let (state, reason, record) = match alive::examine(self.paths)? {
            Condition::Dead if disk.is_none() => (VmState::Absent, None, None),
            Condition::Dead => (VmState::Stopped, None, None),
            Condition::Unfinished => (VmState::Starting, None, None),
            Condition::Paused { record, why: Pause::DiskFull } => {
                (VmState::Paused, Some("this computer's disk is full"), Some(record))
            }
            Condition::Paused { record, why: Pause::Asked } => (VmState::Paused, None, Some(record)),
            Condition::Stuck { record, why } => (VmState::Stuck, Some(why), Some(record)),
            Condition::Running(record) => (VmState::Running, None, Some(record)),
        };
        Ok(VmStatus {
            state,
            reason: reason.map(str::to_owned),
            cpus: record.as_ref().map_or(size.cpus, |record| record.cpus),
            memory_bytes: record.as_ref().map_or(size.memory_bytes, |record| record.memory_bytes),
            disk_bytes: disk.map_or(size.disk_bytes, |(size_bytes, _)| size_bytes),
            disk_used_bytes: disk.map_or(0, |(_, used_bytes)| used_bytes),
            accelerator: record.as_ref().map(|record| record.accelerator),
            pid: alive::pid(self.paths),
            ssh_port: record.as_ref().and_then(|record| record.port),
            started_at_s: record.as_ref().map(|record| record.started_at_s),
            kernel: record.map(|record| record.kernel),
        })
    }

    /// What would make the machine at the next start.
    ///
    /// # Errors
    /// There is no QEMU and nothing in its place, or it is too old.
    pub fn means(&self) -> Result<Means> {
        let (system, architecture) = (System::own(), Architecture::own()?);
        let wish = self.settings.driver;
        if wish == Some(Driver::Framework) {
            return framework::check(system, architecture).map(|()| Means::Framework { note: None });
        }
        match qemu::find(architecture, system, &self.paths.qemu_notes()) {
            Ok(qemu) => {
                let broken = Verdict::read(&self.paths.verdict(), qemu.version);
                let choice = accel::choose(self.settings.accelerator, system, accel::look(), broken.is_some());
                Ok(Means::Qemu(qemu, choice))
            }
            Err(_) if wish.is_none() && framework::check(system, architecture).is_ok() => {
                let note = "there is no QEMU: the VM is made by Virtualization.framework, which is experimental";
                Ok(Means::Framework { note: Some(note) })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The guest pack to use; fetched when this computer has none.
    pub(super) fn find_pack(&self, architecture: Architecture) -> Result<Found> {
        let cache = self.paths.packs();
        pack::find(self.chosen_pack.as_ref(), &program::own_path()?, &cache, architecture, self.fetch_pack)
    }

    /// Waits for whoever starts, stops or removes the VM now, and keeps others waiting.
    fn lock(&self) -> Result<Lock> {
        loop {
            let folder = self.paths.folder();
            make_folder(folder)?;
            make_private_folder(folder)?;
            let waiting = || self.events.note("waiting for another devenv that starts or stops the VM");
            let held = lock(&self.paths.lock(), waiting);
            // `vm rm` removes the folder with the lock in it.
            match held {
                Ok(held) if held.is_at(&self.paths.lock()) => {
                    make_folder(self.paths.run())?;
                    make_private_folder(self.paths.run())?;
                    return Ok(held);
                }
                Err(failure) if folder.exists() => return Err(failure),
                _ => {}
            }
        }
    }

    /// The VM as it runs, brought back to running where that can be done; `None` when one has to be started.
    fn revive(&self) -> Result<Option<Record>> {
        match alive::examine(self.paths)? {
            Condition::Running(record) => Ok(Some(record)),
            Condition::Dead => Ok(None),
            Condition::Unfinished => {
                self.events.note("an earlier start of the VM was cut short; starting anew");
                alive::kill(self.paths).map(|()| None)
            }
            Condition::Paused { record, why } => {
                if why == Pause::DiskFull {
                    disk::check_room(self.paths.folder())?;
                }
                Monitor::connect(&self.paths.monitor(), MONITOR_PATIENCE)?.go_on()?;
                self.events.note(match why {
                    Pause::DiskFull => "the VM stood still, as this computer's disk was full; it goes on",
                    Pause::Asked => "the VM stood still; it goes on",
                });
                Ok(Some(record))
            }
            Condition::Stuck { .. } => {
                alive::go_on(self.paths);
                match alive::examine(self.paths)? {
                    Condition::Running(record) => {
                        self.events.note("the VM's process had been stopped; it goes on");
                        Ok(Some(record))
                    }
                    _ => {
                        self.events.warn("the VM did not answer any more; starting it anew");
                        alive::kill(self.paths).map(|()| None)
                    }
                }
            }
        }
    }

    /// Gives a running VM the disk that the settings ask for.
    fn grow(&self, record: &Record) -> Result<()> {
        if record.port.is_none() {
            // Virtualization.framework has no words for it: at the next start.
            return Ok(());
        }
        let Some(wanted_bytes) = self.settings.disk_bytes else { return Ok(()) };
        let has_bytes = disk::sizes(&self.paths.disk()).map_or(0, |(size_bytes, _)| size_bytes);
        if has_bytes < wanted_bytes {
            Monitor::connect(&self.paths.monitor(), MONITOR_PATIENCE)?.resize(DISK_NODE, wanted_bytes)?;
            self.events.done("the VM's disk has grown");
        }
        Ok(())
    }

    fn stop_locked(&self) -> Result<bool> {
        let condition = alive::examine(self.paths)?;
        if condition == Condition::Dead {
            return Ok(false);
        }
        self.events.step("stopping the VM");
        // One that was stopped by a signal could hear nobody.
        alive::go_on(self.paths);
        let asked = match &condition {
            Condition::Running(record) => self.access(record).and_then(|access| (self.ask_to_end)(&access)),
            _ => Err(Failure::new("its guest does not answer")),
        };
        if !(asked.is_ok() && alive::wait_for_end(self.paths, FAREWELL_PATIENCE)?) {
            self.events.warn("the VM's guest did not end by itself; what it had not written to its disk is lost");
            let quit = Monitor::connect(&self.paths.monitor(), MONITOR_PATIENCE).and_then(|mut monitor| monitor.quit());
            if !(quit.is_ok() && alive::wait_for_end(self.paths, QUIT_PATIENCE)?) {
                alive::kill(self.paths)?;
            }
        }
        let paths = self.paths;
        for file in [paths.record(), paths.monitor(), paths.guest_socket(), paths.machine(), paths.initramfs()] {
            remove_file_if_exists(&file)?;
        }
        self.events.done("stopped the VM");
        Ok(true)
    }

    fn access(&self, record: &Record) -> Result<Access> {
        let own = std::fs::read(program::SELF).map(|content| program::identity(&content));
        Ok(Access {
            address: record.address(self.paths),
            keys: Keys::obtain(self.paths)?,
            is_outdated: own.is_ok_and(|own| own != record.program),
        })
    }
}

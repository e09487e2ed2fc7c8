//! Starting QEMU and waiting until its guest serves.

use super::accel::{Choice, Verdict};
use super::alive::{self, Outcome};
use super::argv::{self, Architecture, Wanted};
use super::initramfs::{self, Contents};
use super::keys::{Keys, private_text, public_text};
use super::pack::{self, Pack};
use super::qemu::{Qemu, System};
use super::qmp::Monitor;
use super::record::Record;
use super::size::Size;
use super::{Means, Vm, disk, framework, program, serial};
use crate::machine::clock;
use crate::model::guest::Seed;
use crate::model::vm::{Accelerator, Idle};
use crate::model::{Failure, Result, Trying, VmPaths};
use crate::sys::detached::{self, Detached};
use crate::sys::fs::{lock, remove_file_if_exists, write_secret};
use crate::sys::process::random;
use crate::sys::tsc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// With hardware's help a guest speaks at once and is ready within a second; without, on a busy computer, within minutes.
const FIRST_WORD_PATIENCE: Duration = Duration::from_secs(5);
const FAST_PATIENCE: Duration = Duration::from_secs(15);
const SLOW_PATIENCE: Duration = Duration::from_secs(300);
/// How long QEMU may take to answer its monitor.
const MONITOR_PATIENCE: Duration = Duration::from_secs(10);
/// A unix socket's path has at most 103 bytes on macOS, 107 on Linux (unix(7)).
const LONGEST_SOCKET_PATH_BYTES: usize = 103;
/// Lines of the console that go into an error.
const TOLD_LINES: usize = 8;

/// Starts the VM, whose lock the caller holds and of which nothing lives.
///
/// # Errors
/// No QEMU, no pack, no room, or the guest does not come up: then its console's last lines are told.
pub fn start(vm: &Vm) -> Result<Record> {
    let architecture = Architecture::own()?;
    let means = vm.means()?;
    disk::check_room(vm.paths.folder())?;
    let found = vm.find_pack(architecture)?;
    let pack = pack::open(&found, &vm.paths.packs(), architecture)?;
    let program = program::read(&pack, architecture, System::own())?;
    let size = Size::of(vm.settings);
    let size_bytes = disk::prepare(&pack.disk(), &vm.paths.disk(), size.disk_bytes)?;
    if vm.settings.disk_bytes.is_some_and(|wanted| wanted < size_bytes) {
        vm.events.note("the VM's disk keeps its size: it can grow and not shrink");
    }
    let keys = Keys::obtain(vm.paths)?;
    let birth = Birth { vm, architecture, pack, program, size, keys };
    match means {
        Means::Qemu(qemu, choice) => birth.with_the_fastest(&qemu, choice),
        Means::Framework { note } => {
            note.into_iter().for_each(|note| vm.events.note(note));
            birth.by_framework()
        }
    }
}

struct Birth<'a> {
    vm: &'a Vm<'a>,
    architecture: Architecture,
    pack: Pack,
    /// Content of the guest's program.
    program: Vec<u8>,
    size: Size,
    keys: Keys,
}

impl Birth<'_> {
    /// Tries the accelerator that this computer seems to have, and emulation when no guest starts with it.
    fn with_the_fastest(&self, qemu: &Qemu, choice: Choice) -> Result<Record> {
        let events = self.vm.events;
        if let Some(note) = choice.note {
            events.note(note);
        }
        let failure = match self.attempt(qemu, choice.accelerator)? {
            Ok(record) => return Ok(record),
            Err(failure) if choice.may_fall_back => failure,
            Err(failure) => return Err(failure),
        };
        events.note(format!(
            "{} is here and no guest starts with it: the VM is emulated, which is several times slower",
            choice.accelerator
        ));
        let record = self.attempt(qemu, Accelerator::Tcg)??;
        // Only now it is sure that it was the accelerator's fault.
        Verdict::now(qemu.version, failure.chain().join(": ")).write(&self.vm.paths.verdict())?;
        Ok(record)
    }

    /// One start of QEMU. The inner failure is one that another accelerator may not have.
    fn attempt(&self, qemu: &Qemu, accelerator: Accelerator) -> Result<Result<Record>> {
        let paths = self.vm.paths;
        self.clear()?;
        if paths.monitor().as_os_str().len() > LONGEST_SOCKET_PATH_BYTES {
            return Err(too_long(&paths.monitor()));
        }
        self.write_initramfs()?;
        let words = argv::arguments(&self.wanted(accelerator));
        self.spawn(&qemu.program, &words.iter().map(OsStr::new).collect::<Vec<_>>())?;
        let (first_word, patience) = match accelerator {
            Accelerator::Kvm | Accelerator::Hvf => (Some(FIRST_WORD_PATIENCE), FAST_PATIENCE),
            Accelerator::Tcg => (None, SLOW_PATIENCE),
        };
        if let Err(failure) = self.wait_until_ready(accelerator.name(), first_word, patience)? {
            return Ok(Err(failure));
        }
        let port = Monitor::connect(&paths.monitor(), MONITOR_PATIENCE)?.forwarded_port()?;
        self.note_down(Some(port), accelerator).map(Ok)
    }

    /// One start of this program itself as the process of a machine of Virtualization.framework.
    fn by_framework(&self) -> Result<Record> {
        let paths = self.vm.paths;
        self.clear()?;
        if paths.guest_socket().as_os_str().len() > LONGEST_SOCKET_PATH_BYTES {
            return Err(too_long(&paths.guest_socket()));
        }
        self.write_initramfs()?;
        framework::machine(&self.wanted(Accelerator::Hvf), paths.guest_socket()).write(&paths.machine())?;
        let (machine, pid_file) = (paths.machine(), paths.pid_file());
        let words = [OsStr::new(framework::ENTRY), machine.as_os_str(), pid_file.as_os_str()];
        self.spawn(&program::own_path()?, &words)?;
        self.wait_until_ready("Virtualization.framework", Some(FIRST_WORD_PATIENCE), FAST_PATIENCE)??;
        self.note_down(None, Accelerator::Hvf)
    }

    /// The inner failure is that of a guest that did not come up.
    fn wait_until_ready(&self, by: &str, first_word: Option<Duration>, patience: Duration) -> Result<Result<()>> {
        let paths = self.vm.paths;
        let outcome = alive::watch(paths, first_word, patience)?;
        // The seed is in the guest's memory; it need not lie about.
        remove_file_if_exists(&paths.initramfs())?;
        let what = match outcome {
            Outcome::Ready => return Ok(Ok(())),
            Outcome::Trouble(why) => {
                alive::kill(paths)?;
                return Err(Failure::because("the VM's guest cannot start", why).hint(told_in(paths)));
            }
            Outcome::Ended => "the VM ended while it started".to_owned(),
            Outcome::Silent => format!("the VM was not ready in time ({by})"),
        };
        alive::kill(paths)?;
        Ok(Err(last_words(what, paths)))
    }

    /// Takes away what an earlier run left.
    fn clear(&self) -> Result<()> {
        let paths = self.vm.paths;
        for file in [paths.record(), paths.monitor(), paths.guest_socket(), paths.console(), paths.qemu_log()] {
            remove_file_if_exists(&file)?;
        }
        Ok(())
    }

    fn wanted(&self, accelerator: Accelerator) -> Wanted {
        let paths = self.vm.paths;
        Wanted {
            architecture: self.architecture,
            accelerator,
            cpus: self.size.cpus,
            memory_bytes: self.size.memory_bytes,
            kernel: self.pack.kernel(),
            initramfs: paths.initramfs(),
            disk: paths.disk(),
            console: paths.console(),
            pid_file: paths.pid_file(),
            monitor: paths.monitor(),
            tsc_kilohertz: tsc::kilohertz(),
        }
    }

    fn spawn(&self, program: &Path, arguments: &[&OsStr]) -> Result<()> {
        let paths = self.vm.paths;
        let output = File::create(paths.qemu_log()).trying(|| "cannot write QEMU's log")?;
        let stdin = File::open("/dev/null").trying(|| "cannot open /dev/null")?;
        // Nobody else starts one: this waits for those who just look.
        let life = lock(&paths.alive(), || {})?.into_file();
        detached::spawn(Detached { program, arguments, stdin, output, extra: life.into(), keeps_environment: false })
            .trying(|| format!("cannot start {}", program.display()))
    }

    fn write_initramfs(&self) -> Result<()> {
        let seed = serde_json::to_vec(&self.seed()?).trying(|| "cannot write down the guest's seed")?;
        let archive = initramfs::build(&Contents {
            seed: &seed,
            pack: &self.pack.description_text()?,
            modules: &self.pack.modules()?,
            program: &self.program,
        });
        write_secret(&self.vm.paths.initramfs(), &archive)
    }

    fn seed(&self) -> Result<Seed> {
        Ok(Seed {
            host_key: private_text(&self.keys.host)?,
            client_key: public_text(&self.keys.client)?,
            hostname: "devenv".into(),
            unix_nanoseconds: clock::now(),
            timezone: clock::timezone(),
            random: BASE64.encode(random::<64>()?),
            idle_minutes: match self.vm.settings.idle {
                None => Some(DEFAULT_IDLE_MINUTES),
                Some(Idle::Never) => None,
                Some(Idle::Minutes(minutes)) => Some(minutes),
            },
            program: program::identity(&self.program),
        })
    }

    fn note_down(&self, port: Option<u16>, accelerator: Accelerator) -> Result<Record> {
        let record = Record {
            port,
            accelerator,
            cpus: self.size.cpus,
            memory_bytes: self.size.memory_bytes,
            kernel: self.pack.description.kernel.clone(),
            program: program::identity(&self.program),
            started_at_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        record.write(&self.vm.paths.record())?;
        Ok(record)
    }
}

/// After this time without a running box and without a connection a VM ends itself.
const DEFAULT_IDLE_MINUTES: u32 = 30;

/// A failure with the last that was heard of the VM.
fn last_words(what: String, paths: &VmPaths) -> Failure {
    let said = |path: &Path| serial::last_lines(&serial::read(path), TOLD_LINES).join("\n");
    let texts = [said(&paths.qemu_log()), said(&paths.console())];
    let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    let failure = if text.is_empty() { Failure::new(what) } else { Failure::because(what, text) };
    failure.hint(told_in(paths))
}

fn too_long(socket: &Path) -> Failure {
    Failure::new(format!("{} is too long for a socket", socket.display()))
        .hint("name a shorter folder in DEVENV_HOME or XDG_RUNTIME_DIR")
}

fn told_in(paths: &VmPaths) -> String {
    format!("the guest's console is in {}", paths.console().display())
}

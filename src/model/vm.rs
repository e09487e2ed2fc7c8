//! The managed VM as people ask for it and see it.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What the user's settings say about the VM. `None`: by what this computer has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VmSettings {
    pub cpus: Option<u32>,
    pub memory_bytes: Option<u64>,
    /// Size of the disk as the guest sees it; it takes as much of this computer as is written.
    pub disk_bytes: Option<u64>,
    /// Minutes without a running box and without a connection after which the VM ends itself.
    pub idle: Option<Idle>,
    /// Guest pack to use instead of the one that belongs to this program.
    pub guest: Option<GuestPack>,
    /// What runs the guest's instructions; a person who knows better than the probe.
    pub accelerator: Option<Accelerator>,
    /// What makes the machine.
    pub driver: Option<Driver>,
}

/// What makes the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Qemu,
    /// Apple's Virtualization.framework.
    Framework,
}

/// Where a guest pack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestPack {
    File(PathBuf),
    /// `HOST/NAME@sha256:…`, an artifact in a registry.
    Artifact(String),
}

impl GuestPack {
    /// What names a digest is an artifact, everything else a file.
    pub fn parse(text: &str) -> GuestPack {
        match text.contains("@sha256:") {
            true => GuestPack::Artifact(text.to_owned()),
            false => GuestPack::File(text.into()),
        }
    }
}

/// When an idle VM ends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idle {
    Never,
    Minutes(u32),
}

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Linux's, through /dev/kvm.
    Kvm,
    /// macOS's Hypervisor.framework.
    Hvf,
    /// None: QEMU translates each instruction.
    Tcg,
}

impl Accelerator {
    /// As QEMU names it.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Hvf => "hvf",
            Accelerator::Tcg => "tcg",
        }
    }
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Reply of `vm status`. Field names are promised to scripts (`--json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmStatus {
    pub state: VmState,
    /// Why it is in that state, where the state alone does not tell.
    pub reason: Option<String>,
    /// As it runs, or as it would be started.
    pub cpus: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// What of this computer's disk the VM's own takes.
    pub disk_used_bytes: u64,
    /// The rest is known while it runs.
    pub accelerator: Option<Accelerator>,
    pub pid: Option<u32>,
    /// Port on 127.0.0.1 that leads to the guest's SSH server.
    pub ssh_port: Option<u16>,
    /// Seconds since 1970, UTC.
    pub started_at_s: Option<u64>,
    /// Version of the guest's kernel.
    pub kernel: Option<String>,
}

/// State of the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// Never made, or removed.
    Absent,
    Stopped,
    Running,
    /// It runs and was never ready: a start was killed, or is under way.
    Starting,
    /// Its processors stand still: its process was stopped, or this computer's disk is full.
    Paused,
    /// Its process lives and does not answer.
    Stuck,
}

impl std::fmt::Display for VmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            VmState::Absent => "absent",
            VmState::Stopped => "stopped",
            VmState::Running => "running",
            VmState::Starting => "starting",
            VmState::Paused => "paused",
            VmState::Stuck => "stuck",
        })
    }
}

/// Paths of the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmPaths {
    folder: PathBuf,
    run: PathBuf,
}

impl VmPaths {
    /// `folder` keeps its disk and keys, `run` its sockets.
    pub fn new(folder: PathBuf, run: PathBuf) -> VmPaths {
        VmPaths { folder, run }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folder of the socket.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Held while the VM is started, stopped or removed.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Locked by QEMU itself, which inherits the lock, for as long as it lives.
    pub fn alive(&self) -> PathBuf {
        self.folder.join("alive")
    }

    /// QEMU's pid file. The kernel tells who has it locked (fcntl(2), F_GETLK); the number in it tells nothing.
    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("qemu.pid")
    }

    /// How it was started.
    pub fn record(&self) -> PathBuf {
        self.folder.join("vm.json")
    }

    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.raw")
    }

    pub fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }

    /// What the guest wrote to its serial console since it was started.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// What QEMU itself said.
    pub fn qemu_log(&self) -> PathBuf {
        self.folder.join("qemu.log")
    }

    pub fn host_key(&self) -> PathBuf {
        self.folder.join("host_key")
    }

    pub fn client_key(&self) -> PathBuf {
        self.folder.join("client_key")
    }

    /// Unpacked guest packs, each in a folder named after its digest.
    pub fn packs(&self) -> PathBuf {
        self.folder.join("packs")
    }

    /// What was found out about this computer's accelerators.
    pub fn verdict(&self) -> PathBuf {
        self.folder.join("accelerator.json")
    }

    /// Which QEMU was found, and its version.
    pub fn qemu_notes(&self) -> PathBuf {
        self.folder.join("qemu.json")
    }

    pub fn monitor(&self) -> PathBuf {
        self.run.join("qmp.sock")
    }

    /// Where connections to the guest begin that Virtualization.framework carries.
    pub fn guest_socket(&self) -> PathBuf {
        self.run.join("guest.sock")
    }

    /// The machine as Virtualization.framework is to make it.
    pub fn machine(&self) -> PathBuf {
        self.folder.join("machine.json")
    }
}

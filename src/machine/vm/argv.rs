//! QEMU's command line as data: a machine that is wanted in, words out. Nothing here looks at this computer.

use crate::model::guest::SSH_PORT;
use crate::model::vm::Accelerator;
use crate::model::{Failure, Result};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Kind of computer that is made, which is always that of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    /// This computer's.
    ///
    /// # Errors
    /// There are no guests for it.
    pub fn own() -> Result<Architecture> {
        let name = std::env::consts::ARCH;
        Architecture::parse(name).ok_or_else(|| Failure::new(format!("there is no managed VM for {name} computers")))
    }

    /// By its name in Linux and in QEMU's programs.
    pub fn parse(name: &str) -> Option<Architecture> {
        match name {
            "x86_64" => Some(Architecture::X86_64),
            "aarch64" => Some(Architecture::Aarch64),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
        }
    }
}

/// A VM to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub architecture: Architecture,
    pub accelerator: Accelerator,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub disk: PathBuf,
    pub console: PathBuf,
    pub pid_file: PathBuf,
    /// Unix socket of the monitor.
    pub monitor: PathBuf,
    /// How fast this computer's time stamp counter counts: an emulated guest sees it, and measures it wrong on a busy
    /// computer, by which its clock would be several times too fast.
    pub tsc_kilohertz: Option<u32>,
}

/// Names by which the monitor speaks of the disk and the network.
pub const DISK_NODE: &str = "disk";
pub const NETWORK: &str = "net";

/// With more, Arm's first interrupt controller has no room (QEMU, docs/system/arm/virt.rst).
const MOST_CPUS_OF_OLD_GIC: u32 = 8;

/// Words for QEMU, without the program's own name.
pub fn arguments(wanted: &Wanted) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |word: &str, value: String| words.extend([word.to_owned(), value]);
    add("-name", "devenv".into());
    add("-machine", machine(wanted));
    add("-accel", accelerator(wanted.accelerator).into());
    add("-cpu", processor(wanted).into());
    add("-smp", wanted.cpus.to_string());
    add("-m", format!("{}M", wanted.memory_bytes >> 20));
    add("-kernel", text(&wanted.kernel));
    add("-initrd", text(&wanted.initramfs));
    add("-append", kernel_command_line(wanted));
    // JSON, since a comma in a path would end it elsewhere. Discards reach the host's file, and so do zeroes.
    add(
        "-blockdev",
        json!({"driver": "file", "node-name": "file", "filename": text(&wanted.disk), "discard": "unmap"}).to_string(),
    );
    add(
        "-blockdev",
        json!({"driver": "raw", "node-name": DISK_NODE, "file": "file", "discard": "unmap", "detect-zeroes": "unmap"})
            .to_string(),
    );
    add("-device", format!("virtio-blk-pci,drive={DISK_NODE}"));
    // Port 0: the kernel chooses a free one, and the monitor tells which.
    add("-netdev", format!("user,id={NETWORK},ipv6=off,hostfwd=tcp:127.0.0.1:0-:{SSH_PORT}"));
    // No ROM: the network is not booted from.
    add("-device", format!("virtio-net-pci,netdev={NETWORK},romfile="));
    // Memory that the guest does not use any more goes back to the host by itself.
    add("-device", "virtio-balloon-pci,free-page-reporting=on".into());
    add("-chardev", format!("file,id=console,path={}", option_text(&wanted.console)));
    add("-serial", "chardev:console".into());
    add("-chardev", format!("socket,id=monitor,path={},server=on,wait=off", option_text(&wanted.monitor)));
    add("-mon", "chardev=monitor,mode=control".into());
    add("-pidfile", text(&wanted.pid_file));
    add("-display", "none".into());
    words.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    words
}

fn machine(wanted: &Wanted) -> String {
    match wanted.architecture {
        Architecture::X86_64 => "q35,vmport=off,hpet=off,smbus=off,sata=off".into(),
        Architecture::Aarch64 if wanted.cpus > MOST_CPUS_OF_OLD_GIC => "virt,gic-version=max".into(),
        Architecture::Aarch64 => "virt".into(),
    }
}

fn accelerator(accelerator: Accelerator) -> &'static str {
    match accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Hvf => "hvf",
        // 1 GB of translated code, which QEMU would keep otherwise, is more than the guest itself takes.
        Accelerator::Tcg => "tcg,thread=multi,tb-size=256",
    }
}

fn processor(wanted: &Wanted) -> &'static str {
    match (wanted.accelerator, wanted.architecture) {
        (Accelerator::Kvm | Accelerator::Hvf, _) => "host",
        (Accelerator::Tcg, Architecture::X86_64) => "max",
        // Pointer authentication as the architecture defines it costs half of the time when it is translated.
        (Accelerator::Tcg, Architecture::Aarch64) => "max,pauth-impdef=on",
    }
}

/// What every guest's kernel is told (Linux, Documentation/admin-guide/kernel-parameters.txt).
pub const KERNEL_WORDS: [&str; 7] = [
    "rdinit=/init",
    "panic=-1",
    "audit=0",
    "rcupdate.rcu_expedited=1",
    "cryptomgr.notests",
    // Nobody asks these for random numbers or keys; to try themselves out takes them a quarter of a second where the
    // processor is translated.
    "initcall_blacklist=jent_mod_init,crypto_kdf108_init",
    // Those that a program may use by itself. The others of Debian wait for a policy that nobody loads.
    "lsm=landlock,yama",
];

fn kernel_command_line(wanted: &Wanted) -> String {
    let mut words = KERNEL_WORDS.to_vec();
    let counter = wanted.tsc_kilohertz.map(|kilohertz| format!("tsc_early_khz={kilohertz}"));
    let is_x86 = wanted.architecture == Architecture::X86_64;
    match is_x86 {
        true => words.extend(["console=ttyS0", "8250.nr_uarts=1", "i8042.noaux", "i8042.nokbd"]),
        false => words.push("console=ttyAMA0"),
    }
    if wanted.accelerator == Accelerator::Tcg {
        // Translated processors start one after the other: the guest takes the rest in when it serves. What guards
        // against hardware that is not there is left out.
        words.extend(["maxcpus=1", "nokaslr", "mitigations=off"]);
        if is_x86 {
            words.extend(["tsc=reliable", "no_timer_check"]);
            words.extend(counter.as_deref());
        }
    }
    // Warnings and worse reach the console.
    words.push("loglevel=5");
    words.join(" ")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// In QEMU's lists of options a comma is written twice.
fn option_text(path: &Path) -> String {
    text(path).replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(architecture: Architecture, accelerator: Accelerator, cpus: u32, folder: &str) -> String {
        let folder = Path::new(folder);
        let words = arguments(&Wanted {
            architecture,
            accelerator,
            cpus,
            memory_bytes: 4 << 30,
            kernel: folder.join("pack/vmlinux"),
            initramfs: folder.join("initramfs"),
            disk: folder.join("disk.raw"),
            console: folder.join("console.log"),
            pid_file: folder.join("qemu.pid"),
            monitor: folder.join("qmp.sock"),
            tsc_kilohertz: Some(2_500_000),
        });
        words.join("\n").replace("\n-", "\n\n-").replace('\n', " ").replace("  ", "\n")
    }

    #[test]
    fn a_linux_host_with_kvm() {
        insta::assert_snapshot!(shown(Architecture::X86_64, Accelerator::Kvm, 4, "/home/me/.local/share/devenv/vm"));
    }

    #[test]
    fn a_linux_host_without_kvm() {
        insta::assert_snapshot!(shown(Architecture::X86_64, Accelerator::Tcg, 2, "/odd, \"folder\""));
    }

    #[test]
    fn a_mac_with_apple_silicon() {
        let folder = "/Users/me/Library/Application Support/devenv/vm";
        insta::assert_snapshot!(shown(Architecture::Aarch64, Accelerator::Hvf, 10, folder));
    }

    #[test]
    fn a_mac_with_intel() {
        let folder = "/Users/me/Library/Application Support/devenv/vm";
        insta::assert_snapshot!(shown(Architecture::X86_64, Accelerator::Hvf, 8, folder));
    }

    #[test]
    fn an_arm_host_without_kvm() {
        insta::assert_snapshot!(shown(Architecture::Aarch64, Accelerator::Tcg, 2, "/vm"));
    }
}

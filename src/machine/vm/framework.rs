//! The machine that is wanted, for Apple's Virtualization.framework instead of QEMU. Experimental: it has not run on a
//! Mac yet (docs/macos.md).

use super::argv::{Architecture, KERNEL_WORDS, Wanted};
use super::qemu::System;
use crate::model::guest::SSH_PORT;
use crate::model::{Failure, Result};
use crate::sys::virtualization::{DiskCaching, VirtualMachine};
use std::path::PathBuf;

/// First word of the command line of a machine's process; the machine's file and its pid file follow.
pub const ENTRY: &str = "__machine";

/// Whether this computer has it.
///
/// # Errors
/// It has not, or our guest is not made for it there.
pub fn check(system: System, architecture: Architecture) -> Result<()> {
    let hint = "remove `vm.driver` from config.toml: the VM is then made by QEMU";
    match (system, architecture) {
        (System::Mac, Architecture::Aarch64) => Ok(()),
        // There it boots compressed kernels only, and the guest's is not.
        (System::Mac, Architecture::X86_64) => {
            Err(Failure::new("Virtualization.framework is used on Apple silicon only").hint(hint))
        }
        (System::Linux, _) => Err(Failure::new("Virtualization.framework is part of macOS").hint(hint)),
    }
}

/// The same machine as `argv::arguments` makes: connections to `socket` reach the guest's SSH server over vsock.
pub fn machine(wanted: &Wanted, socket: PathBuf) -> VirtualMachine {
    VirtualMachine {
        cpus: wanted.cpus,
        memory_bytes: wanted.memory_bytes,
        kernel: wanted.kernel.clone(),
        initramfs: wanted.initramfs.clone(),
        command_line: kernel_command_line(),
        disk: wanted.disk.clone(),
        disk_caching: DiskCaching::Cached,
        console: wanted.console.clone(),
        socket,
        guest_port: u32::from(SSH_PORT),
    }
}

/// As QEMU's guests get it, with the only console that the framework has: virtio's.
fn kernel_command_line() -> String {
    [&KERNEL_WORDS[..], &["console=hvc0", "loglevel=5"]].concat().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vm::Accelerator;

    #[test]
    fn it_is_used_where_it_is() {
        assert!(check(System::Mac, Architecture::Aarch64).is_ok());
        for elsewhere in [(System::Mac, Architecture::X86_64), (System::Linux, Architecture::Aarch64)] {
            let refused = check(elsewhere.0, elsewhere.1).unwrap_err();
            assert!(refused.get_hint().is_some_and(|hint| hint.contains("`vm.driver`")));
        }
    }

    #[test]
    fn a_mac_gets_the_machine_that_was_wanted() {
        let wanted = Wanted {
            architecture: Architecture::Aarch64,
            accelerator: Accelerator::Hvf,
            cpus: 4,
            memory_bytes: 4 << 30,
            kernel: "/p/Image".into(),
            initramfs: "/v/initramfs".into(),
            disk: "/v/disk".into(),
            console: "/v/console".into(),
            pid_file: "/v/pid".into(),
            monitor: "/v/monitor".into(),
            tsc_kilohertz: None,
        };
        let machine = machine(&wanted, "/v/guest.sock".into());
        insta::assert_snapshot!(serde_json::to_string_pretty(&machine).unwrap());
    }
}

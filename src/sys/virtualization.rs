//! A virtual machine as Apple's Virtualization.framework takes it, as plain data. `sys/macos` makes it real.

use super::fs::write_atomically;
use crate::model::{Result, Trying};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A machine that boots a Linux kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualMachine {
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Uncompressed: the framework's boot loader unpacks nothing.
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub command_line: String,
    /// Raw image.
    pub disk: PathBuf,
    /// How writes reach the disk image.
    pub disk_caching: DiskCaching,
    /// File that the first console's output goes to, from its beginning.
    pub console: PathBuf,
    /// Unix socket of the host; each connection to it becomes one to `guest_port`.
    pub socket: PathBuf,
    /// Port of the guest's vsock(7).
    pub guest_port: u32,
}

impl VirtualMachine {
    /// # Errors
    /// The file is missing, or is something else.
    pub fn read(path: &Path) -> Result<VirtualMachine> {
        let trying = || format!("cannot read the machine {}", path.display());
        let text = std::fs::read(path).trying(trying)?;
        serde_json::from_slice(&text).trying(trying)
    }

    /// # Errors
    /// The disk is full or not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).trying(|| "cannot write down the machine")?;
        write_atomically(path, &text)
    }
}

/// VZDiskImageCachingMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskCaching {
    /// The host keeps what it reads and writes: without it file systems were damaged under load
    /// (github.com/utmapp/UTM/issues/4840, github.com/lima-vm/lima/pull/2026).
    Cached,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine");
        let machine = VirtualMachine {
            cpus: 2,
            memory_bytes: 1 << 30,
            kernel: "/k".into(),
            initramfs: "/i".into(),
            command_line: "console=hvc0".into(),
            disk: "/d".into(),
            disk_caching: DiskCaching::Cached,
            console: "/c".into(),
            socket: "/s".into(),
            guest_port: 22,
        };
        machine.write(&path).unwrap();
        assert_eq!(VirtualMachine::read(&path).unwrap(), machine);
        std::fs::write(&path, "{}").unwrap();
        assert!(VirtualMachine::read(&path).is_err());
    }
}

//! A virtual machine as Apple's Virtualization.framework takes it, as plain data. `sys/macos` makes it real.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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

/// VZDiskImageCachingMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskCaching {
    /// The host keeps what it reads and writes: without it file systems were damaged under load
    /// (github.com/utmapp/UTM/issues/4840, github.com/lima-vm/lima/pull/2026).
    Cached,
}

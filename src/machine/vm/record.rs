//! How the running VM was started.

use crate::machine::ssh::Address;
use crate::model::vm::Accelerator;
use crate::model::{Result, Trying, VmPaths};
use crate::sys::fs::{read_if_exists, write_atomically};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Written when the guest is ready, removed before the next start: one that is there belongs to the QEMU that lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Port of 127.0.0.1 that QEMU leads to the guest's SSH server; `None`: Virtualization.framework made the machine, and a
    /// socket leads there (`VmPaths::guest_socket`).
    pub port: Option<u16>,
    pub accelerator: Accelerator,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Version of the guest's kernel.
    pub kernel: String,
    /// The program that the guest runs.
    pub program: String,
    /// Seconds since 1970, UTC.
    pub started_at_s: u64,
}

impl Record {
    /// Where the guest's SSH server is reached.
    pub fn address(&self, paths: &VmPaths) -> Address {
        match self.port {
            Some(port) => Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            None => Address::Unix(paths.guest_socket()),
        }
    }

    /// The record at `path`; `None` when there is none, or none that can be understood.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Option<Record>> {
        Ok(read_if_exists(path)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// # Errors
    /// The disk is full or not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).trying(|| format!("cannot write {}", path.display()))?;
        write_atomically(path, &text)
    }
}

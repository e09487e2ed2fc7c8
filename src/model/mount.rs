//! What of the host, and what kept storage, a box sees.

use super::VolumeName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A folder or file of the host inside the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the host; existed when the file was checked.
    pub source: PathBuf,
    /// Absolute path in the box.
    pub target: PathBuf,
    pub readonly: bool,
    /// How the folder is kept equal away from `here`; has no meaning `here`.
    pub sync: SyncMode,
    /// Patterns in .gitignore syntax that stay apart when syncing.
    pub ignore: Vec<String>,
}

/// Direction of file sync away from this kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncMode {
    #[default]
    TwoWay,
    OneWay,
    Mirror,
    None,
}

/// A named folder kept across `down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    pub name: VolumeName,
    /// Absolute path in the box.
    pub target: PathBuf,
    pub readonly: bool,
}

/// A memory file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path in the box.
    pub target: PathBuf,
    /// `None`: the kernel's default, half of the memory.
    pub size_bytes: Option<u64>,
}

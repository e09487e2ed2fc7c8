//! The computer and the person, detected once and passed as a value.

use std::path::PathBuf;

/// Who runs devenv and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub uid: u32,
    pub gid: u32,
    /// Login name; `user` when nothing names the uid.
    pub user_name: String,
    pub home: PathBuf,
    /// As Linux names it: `x86_64`, `aarch64`.
    pub architecture: String,
}

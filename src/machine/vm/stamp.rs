//! Telling whether a file is the one that was looked at before, without reading it again.

use crate::model::{Result, Trying};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    file: PathBuf,
    inode: u64,
    length: u64,
    /// When it was last changed in any way, nanoseconds since 1970.
    changed: i64,
}

impl Stamp {
    /// # Errors
    /// There is no such file.
    pub fn of(file: &Path) -> Result<Stamp> {
        let facts = std::fs::metadata(file).trying(|| format!("cannot look at {}", file.display()))?;
        let changed = facts.ctime().saturating_mul(1_000_000_000).saturating_add(facts.ctime_nsec());
        Ok(Stamp { file: file.to_owned(), inode: facts.ino(), length: facts.len(), changed })
    }
}

//! Which process is meant.

use serde::{Deserialize, Serialize};

/// A process beyond doubt: its id, when it started, and in which boot. How it is found is `sys`'s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks after boot at which it started (proc_pid_stat(5), field 22).
    pub start_ticks: u64,
    pub boot_id: String,
}

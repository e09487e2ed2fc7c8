//! File sync with both ends in processes of their own, which are killed at random.

#[path = "sync/ends.rs"]
mod ends;
#[path = "sync/faults.rs"]
mod faults;
#[path = "sync/oracle.rs"]
mod oracle;
#[path = "sync/torture.rs"]
mod torture;
#[path = "sync/user.rs"]
mod user;

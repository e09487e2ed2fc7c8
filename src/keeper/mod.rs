//! The background process of one running project: of one that runs on this kernel it holds namespaces and ports, of one
//! that runs elsewhere the connection, the ports on this computer, and the sync.

mod frame;
#[cfg(target_os = "linux")]
pub mod here;
mod log;
pub mod there;

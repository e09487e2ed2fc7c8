//! The verbs carried out on this kernel.

pub mod keeper;
pub mod supervise;

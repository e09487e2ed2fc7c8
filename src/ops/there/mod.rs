//! The verbs carried out in another place: the managed VM or a remote host.

pub mod vm;

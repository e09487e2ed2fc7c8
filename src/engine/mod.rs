//! Boxes out of namespaces, overlays and control groups: one box from birth to end.
//!
//! A box is described by an OCI runtime-spec document ([`launch::Launch`]), born in a fresh single-threaded copy of
//! this program ([`birth`]), put together by its own first process ([`rootfs`], [`init`]) and entered by further ones
//! ([`enter`]).

pub mod accounts;
pub mod birth;
mod cgroup_mount;
mod devices;
pub mod enter;
mod hostroot;
mod identity;
pub mod ids;
pub mod init;
pub mod launch;
pub mod limits;
mod mounts;
mod namespaces;
pub mod oci;
pub mod payload;
mod program;
pub mod rootfs;
pub mod scope;
pub mod seccomp;
pub mod security;
pub mod spec;
mod trust;

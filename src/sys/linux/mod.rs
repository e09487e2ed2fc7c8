//! Linux system calls with the meaning they have here, each `unsafe` with its reason.

pub mod capability;
pub mod clock;
pub mod clone;
pub mod credentials;
pub mod exe;
pub mod facts;
pub mod interrupt;
pub mod mount;
pub mod pidfd;
pub mod pipe;
pub mod pty;
pub mod rootdir;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod tree;
pub mod userns;

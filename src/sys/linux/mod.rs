//! Linux system calls with the meaning they have here, each `unsafe` with its reason.

pub mod tree;

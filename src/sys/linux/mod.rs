//! Linux system calls with the meaning they have here, each `unsafe` with its reason.

pub mod descriptors;
pub mod detached;
pub mod icmp;
pub mod link;
pub mod memory;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod pidfd;
pub mod socket;
pub mod splice;
pub mod unix;

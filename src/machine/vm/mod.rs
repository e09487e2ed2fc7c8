//! The managed VM, as its host sees it: QEMU with a guest that is a kernel and this very program.

pub mod argv;
pub mod initramfs;
pub mod pack;
mod tar;

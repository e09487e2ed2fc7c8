//! The managed VM, as its host sees it: QEMU with a guest that is a kernel and this very program.
//!
//! ```text
//! life     start, stop, remove, look: what verbs ask for
//! alive    whether it lives, by a lock that QEMU holds, and how it fares
//! birth    one start: size, pack, program, keys, initramfs, argv, then watch the console
//! ```

pub mod accel;
mod alive;
pub mod argv;
mod birth;
mod disk;
pub mod framework;
#[cfg(target_os = "macos")]
pub mod framework_process;
pub mod initramfs;
pub mod keys;
mod life;
pub mod pack;
mod program;
pub mod qemu;
pub mod qmp;
mod record;
mod serial;
mod size;
mod stamp;
mod tar;

pub use life::{Access, Means, Vm};

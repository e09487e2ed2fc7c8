//! The verbs carried out on this kernel.

mod base;
mod clone;
mod connect;
mod doctor;
mod entering;
mod hooks;
mod images;
pub mod keeper;
mod life;
mod logs;
mod making;
mod net;
mod oci;
mod setup;
mod site;
mod status;
pub mod supervise;
mod undo;
mod up;
mod wiring;

pub use clone::clone;
pub use connect::open_connection;
pub use doctor::doctor;
pub use entering::enter;
pub use images::{image_import, image_list, image_prune, image_pull, image_remove};
pub use life::{down, restart, start, stop};
pub use logs::logs;
pub use oci::{oci, oci_log};
pub use status::{check_settings, list, status};
pub use up::up;

//! The verbs carried out in another place: the managed VM or a remote host.
//!
//! A keeper holds the connection of a running project; whoever has no project opens one of its own.

mod call;
mod caller;
mod doctor;
mod elsewhere;
mod enter;
mod far;
mod images;
pub mod keeper;
mod life;
mod line;
mod look;
mod offer;
mod pump;
mod site;
pub mod supervise;
mod sync;
mod trees;
mod up;
pub mod vm;

pub use doctor::doctor;
pub use elsewhere::Elsewhere;
pub use enter::enter;
pub use images::{image_import, image_list, image_prune, image_pull, image_remove};
pub use life::{down, restart, start, stop};
pub use look::{list, list_all, logs, status};
pub use sync::sync;
pub use up::up;

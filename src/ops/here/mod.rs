//! The verbs carried out on this kernel.

mod base;
mod connect;
mod doctor;
mod entering;
mod given;
mod hooks;
mod images;
pub mod keeper;
mod life;
mod logs;
mod making;
mod net;
mod oci;
mod outside;
mod setup;
mod site;
mod status;
pub mod supervise;
mod sync;
mod tree;
mod undo;
mod up;
mod wiring;

use crate::model::Place;
pub use connect::open_connection;
pub use doctor::doctor;
pub use entering::enter;
pub use images::{image_bring, image_import, image_list, image_prune, image_pull, image_remove};
pub use life::{down, restart, start, stop};
pub use logs::logs;
pub use oci::{oci, oci_log};
pub use status::{list, running, status};
pub use sync::sync;
pub use tree::{keep_tree, tree_of};
pub use up::up;

/// Where boxes run when nobody says where.
pub const DEFAULT_PLACE: Place = Place::Here;

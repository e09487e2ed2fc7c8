//! `devenv.toml`: read, laid over, checked all at once, and resolved to a `model::Project`.
//!
//! `file` (as written) -> `overlay` (`devenv.local.toml` on top) -> `check` (shape) -> `resolve` (meaning).
//! Every step adds to one list of `Problems`, so a file is answered with all that is wrong in it.

mod boxes;
mod check;
mod depends;
mod env;
mod file;
mod find;
mod images;
mod network;
mod overlay;
mod paths;
mod place;
mod ports;
mod problem;
pub mod reference;
mod resolve;
pub mod schema;
mod security;
mod show;
mod sizes;
mod user;

pub use find::{FILE_NAME, LOCAL_FILE_NAME, find};
pub use images::image_source;
pub use resolve::{Loaded, load};
pub use show::Shown;
pub use user::load_settings;

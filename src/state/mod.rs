//! What devenv remembers: where everything is, and what was made, in records that a crash cannot tear.

pub mod layout;
pub mod record;
mod there;

pub use layout::{BoxPaths, Layout, ProjectPaths};
pub use record::{BoxRecord, Life, ProjectRecord};
pub use there::{TherePaths, ThereRecord};

//! The verbs, once. Doors call these; these call the skills of the place where boxes run.

mod clone;
mod computer;
pub mod config;
#[cfg(target_os = "linux")]
pub mod here;
#[cfg(not(target_os = "linux"))]
#[path = "here_elsewhere.rs"]
pub mod here;
pub mod init;
pub mod place;
pub mod plan;
pub mod there;
pub mod verbs;

use crate::model::call::Caller;
use crate::model::supply::Supply;
use crate::model::{Events, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every verb needs to know about its caller.
pub struct Context {
    /// Where the caller stands (`-C`, else the working directory): absolute. The project is found from here upwards.
    pub folder: PathBuf,
    /// `--place`; `None`: the user's config, else `here`.
    pub place: Option<String>,
    /// Nobody can be asked (`--no-input`, or standard input is not a terminal).
    pub no_input: bool,
    pub events: Arc<dyn Events>,
    /// On a far side: who calls from elsewhere, and the project as resolved there. `None`: somebody on this computer.
    pub caller: Option<Caller>,
    /// On a far side: what the caller's computer has and this one lacks can be asked for here.
    pub supply: Option<Arc<dyn Supply>>,
}

impl Context {
    /// A caller who stands in `folder`.
    ///
    /// # Errors
    /// `folder` does not exist.
    pub fn new(folder: &Path, place: Option<String>, no_input: bool, events: Arc<dyn Events>) -> Result<Context> {
        let folder = crate::sys::fs::real_path(folder)?;
        Ok(Context { folder, place, no_input, events, caller: None, supply: None })
    }
}

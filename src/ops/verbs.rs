//! The verbs as doors call them: each is carried out in the place that the caller means.

use super::{Context, here, place, there};
use crate::model::request::{EnterRequest, LogsRequest, UpReply, UpRequest};
use crate::model::status::{Finding, ImageListed, ProjectListed, Status};
use crate::model::sync::{SyncAsk, SyncReply};
use crate::model::{BoxName, Place, Result};
use std::io::Write;

pub use super::clone::clone;
pub use super::here::{oci, oci_log};
pub use super::place::check_settings;

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident($($word:ident: $type:ty),*) -> $reply:ty;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// As there.
        pub fn $name(context: &Context, $($word: $type),*) -> Result<$reply> {
            match place::choose(context)? {
                (Place::Here, _) => here::$name(context, $($word),*),
                (place, origin) => there::$name(&there::Elsewhere::new(context, place, origin), $($word),*),
            }
        })*
    };
}

in_place! {
    /// Makes the project as its file says.
    up(request: &UpRequest) -> UpReply;
    /// Runs a program in a box and gives its exit code; a `shell` starts the project when it is down.
    enter(request: &EnterRequest, shell: bool) -> i32;
    /// What runs of the caller's project.
    status() -> Status;
    /// Writes what the boxes' programs wrote.
    logs(request: &LogsRequest, out: &mut dyn Write) -> ();
    /// Stops one box, or all.
    stop(only: Option<&BoxName>) -> ();
    /// Starts one box and what it depends on, or all.
    start(only: Option<&BoxName>) -> ();
    /// Stops and starts one box, or all.
    restart(only: Option<&BoxName>) -> ();
    /// Removes boxes, network and keeper, and the volumes when asked to.
    down(volumes: bool) -> ();
    /// What a person asks of file sync.
    sync(ask: &SyncAsk) -> SyncReply;
    /// The images in the store.
    image_list() -> Vec<ImageListed>;
    /// Asks the registry for an image.
    image_pull(text: &str) -> ImageListed;
    /// Removes images.
    image_remove(names: &[String]) -> ();
    /// Removes what no box uses; gives the bytes freed.
    image_prune() -> u64;
    /// Brings an image from a folder or file into the store.
    image_import(text: &str, name: Option<&str>) -> ImageListed;
    /// What the place can and cannot do.
    doctor() -> Vec<Finding>;
}

/// Every project of this user of which anything is left: in the place that the caller names, else in all.
///
/// # Errors
/// The records cannot be read.
pub fn list(context: &Context) -> Result<Vec<ProjectListed>> {
    if context.place.is_some() {
        return match place::choose(context)? {
            (Place::Here, _) => here::list(context),
            (place, origin) => there::list(&there::Elsewhere::new(context, place, origin)),
        };
    }
    let mut listed = if here::DEFAULT_PLACE == Place::Here { here::list(context)? } else { Vec::new() };
    listed.extend(there::list_all(&place::Origin::look()?)?);
    Ok(listed)
}

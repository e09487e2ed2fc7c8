//! The verbs where no box can run on this kernel.

use crate::model::oci::OciRequest;
use crate::model::request::{EnterRequest, LogsRequest, UpReply, UpRequest};
use crate::model::status::{Finding, ImageListed, ProjectListed, Status};
use crate::model::sync::{SyncAsk, SyncReply};
use crate::model::{BoxName, Failure, Place, Result};
use crate::ops::Context;
use std::path::Path;

/// Where boxes run when nobody says where.
pub const DEFAULT_PLACE: Place = Place::Vm;

macro_rules! not_here {
    ($($name:ident($($type:ty),*) -> $reply:ty;)*) => {
        $(pub fn $name($(_: $type),*) -> Result<$reply> {
            Err(Failure::new("boxes need a Linux kernel").hint("run them in the VM: `--place vm`, or on a Linux host: `--place ssh://USER@HOST`"))
        })*
    };
}

not_here! {
    up(&Context, &UpRequest) -> UpReply;
    enter(&Context, &EnterRequest, bool) -> i32;
    status(&Context) -> Status;
    logs(&Context, &LogsRequest, &mut dyn std::io::Write) -> ();
    list(&Context) -> Vec<ProjectListed>;
    stop(&Context, Option<&BoxName>) -> ();
    start(&Context, Option<&BoxName>) -> ();
    restart(&Context, Option<&BoxName>) -> ();
    down(&Context, bool) -> ();
    sync(&Context, &SyncAsk) -> SyncReply;
    image_list(&Context) -> Vec<ImageListed>;
    image_pull(&Context, &str) -> ImageListed;
    image_remove(&Context, &[String]) -> ();
    image_prune(&Context) -> u64;
    image_import(&Context, &str, Option<&str>) -> ImageListed;
    doctor(&Context) -> Vec<Finding>;
    oci(Option<&Path>, &OciRequest, &mut dyn FnMut(Failure)) -> Option<serde_json::Value>;
    oci_log(&Path, bool, &str, &str) -> ();
}

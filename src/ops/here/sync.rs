//! `sync` on this kernel, where there is nothing to keep equal.

use crate::model::sync::{SyncAsk, SyncReply};
use crate::model::{Failure, Kind, Result};
use crate::ops::Context;

/// Says that nothing is synced here.
///
/// # Errors
/// Always.
pub fn sync(_: &Context, _: &SyncAsk) -> Result<SyncReply> {
    let nothing = Failure::new("nothing is synced here: the source is mounted").kind(Kind::Usage);
    Err(nothing.hint("file sync is for boxes elsewhere: `--place vm`, `--place ssh://USER@HOST`"))
}

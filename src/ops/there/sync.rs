//! `sync`: what a person asks of the folders that are kept equal.

use super::elsewhere::{Elsewhere, unless};
use super::keeper::Keeper;
use super::site::Site;
use super::up;
use crate::model::sync::{SyncAsk, SyncReply};
use crate::model::there::{ThereReply, ThereRequest};
use crate::model::{Failure, Kind, Result};

/// Asks the project's keeper, which is brought back when it is lost.
///
/// # Errors
/// The project is not up, or what was asked cannot be done.
pub fn sync(elsewhere: &Elsewhere, ask: &SyncAsk) -> Result<SyncReply> {
    let site = Site::open(elsewhere)?;
    if site.record()?.is_none() {
        let nothing = Failure::new("nothing is synced: the project is not up");
        return Err(nothing.kind(Kind::NotRunning).hint("`devenv up` begins it"));
    }
    let events = elsewhere.context.events.clone();
    elsewhere.run(async |mut interrupt| {
        // A sync that cannot go on is no reason not to say so.
        let brought = unless(&mut interrupt, site.far()).await;
        let Some(mut keeper) = Keeper::connect(&site.paths.keeper_socket()).await? else {
            brought?;
            return Err(Failure::new("nothing is synced: the project is not up").hint("`devenv up` begins it"));
        };
        if *ask == SyncAsk::Flush {
            let flush = ThereRequest::Flush { unpaused: false };
            unless(&mut interrupt, up::sync(&site, &mut keeper, &flush)).await?;
            return Ok(SyncReply::Done);
        }
        let asked = ThereRequest::Trees { wanted: ask.clone() };
        match unless(&mut interrupt, keeper.ask(&asked, &*events)).await? {
            ThereReply::Trees { reply: SyncReply::Status { folders } } if folders.is_empty() => {
                brought.map(|_| SyncReply::Status { folders })
            }
            ThereReply::Trees { reply } => Ok(reply),
            _ => Err(Failure::new("the keeper answered something else than it was asked")),
        }
    })
}

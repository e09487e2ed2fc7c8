//! `stop`, `start`, `restart` and `down` elsewhere.

use super::call::call;
use super::elsewhere::{Elsewhere, Interrupt, unless};
use super::far::Far;
use super::keeper::Keeper;
use super::site::Site;
use super::up;
use crate::model::call::Verb;
use crate::model::request::UpRequest;
use crate::model::status::{BoxState, Status};
use crate::model::there::ThereRequest;
use crate::model::{BoxName, Failure, Result};
use std::io::sink;

/// Stops one box, or all in reverse order of dependence. With the last one the keeper goes.
///
/// # Errors
/// There is no such box, it does not end, or the place cannot be reached.
pub fn stop(elsewhere: &Elsewhere, only: Option<&BoxName>) -> Result<()> {
    let site = Site::open(elsewhere)?;
    if !site.is_known()? {
        return match only {
            Some(name) => Err(Failure::new(format!("{name} is not running"))),
            None => Ok(()),
        };
    }
    let _lock = site.lock()?;
    let events = elsewhere.context.events.clone();
    elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, site.far_locked()).await?;
        let verb = Verb::Stop { only: only.cloned() };
        let () = call(&far, site.caller(None)?, verb, &*events, &mut sink(), &mut interrupt).await?;
        let left: Status = call(&far, site.caller(None)?, Verb::Status, &*events, &mut sink(), &mut interrupt).await?;
        if left.boxes.iter().any(|one| one.state == BoxState::Running) {
            return Ok(());
        }
        match Keeper::connect(&site.paths.keeper_socket()).await? {
            Some(mut keeper) => {
                keeper.ask(&ThereRequest::Flush { unpaused: false }, &*events).await?;
                keeper.quit().await
            }
            None => Ok(()),
        }
    })
}

/// Starts one box and what it depends on, or all.
///
/// # Errors
/// As `up`.
pub fn start(elsewhere: &Elsewhere, only: Option<&BoxName>) -> Result<()> {
    up::up(elsewhere, &UpRequest { only: only.into_iter().cloned().collect(), ..UpRequest::default() }).map(drop)
}

/// Stops and starts one box, or all.
///
/// # Errors
/// As `stop` and `up`.
pub fn restart(elsewhere: &Elsewhere, only: Option<&BoxName>) -> Result<()> {
    // Everything that can be wrong with the file is told before anything is stopped.
    Site::open(elsewhere)?.load()?;
    stop(elsewhere, only)?;
    start(elsewhere, only)
}

/// Removes boxes, network and keeper, and the volumes when asked to, once all that was made over there is here.
///
/// # Errors
/// Something is not here yet, or could not be removed.
pub fn down(elsewhere: &Elsewhere, volumes: bool) -> Result<()> {
    let site = Site::open(elsewhere)?;
    let is_known = site.is_known()?;
    if !is_known && !volumes {
        elsewhere.context.events.note("nothing is up here");
        return Ok(());
    }
    let lock = site.lock()?;
    elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, site.far_locked()).await?;
        // Only a keeper brings here what was made over there, and without the record none can be brought back.
        if is_known && site.record()?.is_none() && !matches!(far, Far::Kept(_)) {
            let torn = Failure::new(format!(
                "{} is damaged, and nobody knows what has to come here first",
                site.paths.record().display()
            ));
            return Err(torn.hint("`devenv up` mends it; then `devenv down`"));
        }
        remove(&site, &far, volumes, &mut interrupt).await?;
        match Keeper::connect(&site.paths.keeper_socket()).await? {
            Some(keeper) => keeper.quit().await,
            None => Ok(()),
        }
    })?;
    let forgotten = up::forget(&site);
    drop(lock);
    forgotten
}

/// Stops the boxes and removes them over there, and the copies of folders, once all that was made over there is here.
/// The caller holds the project's lock.
///
/// # Errors
/// As [`down`].
pub async fn remove(site: &Site<'_>, far: &Far, volumes: bool, interrupt: &mut Interrupt) -> Result<()> {
    let events = site.elsewhere.context.events.clone();
    if let Some(mut keeper) = Keeper::connect(&site.paths.keeper_socket()).await? {
        // What the boxes write when they are asked to end comes here too.
        let verb = Verb::Stop { only: None };
        let () = call(far, site.caller(None)?, verb, &*events, &mut sink(), interrupt).await?;
        unless(interrupt, up::sync(site, &mut keeper, &ThereRequest::Flush { unpaused: false })).await?;
        // Nothing that is removed over there from now on is removed here.
        up::sync(site, &mut keeper, &ThereRequest::Sync { mounts: Vec::new() }).await?;
    }
    let verb = Verb::Down { volumes };
    call(far, site.caller(None)?, verb, &*events, &mut sink(), interrupt).await
}

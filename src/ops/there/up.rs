//! `up` elsewhere: the source there, the boxes there, the ports here.

use super::call::call;
use super::elsewhere::{Elsewhere, Interrupt, unless};
use super::far::Far;
use super::keeper::{self, Keeper};
use super::life;
use super::look::merged;
use super::site::Site;
use crate::model::call::{Caller, Verb};
use crate::model::request::{UpReply, UpRequest};
use crate::model::there::{BoxPorts, ThereReply, ThereRequest};
use crate::model::{BoxName, Failure, ImageSource, Kind, Mount, Place, Project, PublishedPort, Result};
use crate::state::ThereRecord;
use crate::sys::fs::remove_tree_if_exists;
use std::collections::BTreeMap;
use std::io::sink;
use std::sync::PoisonError;

/// Makes the project as its file says; with `dry_run` only says how.
///
/// # Errors
/// What could not be made true; what this call began is undone then.
pub fn up(elsewhere: &Elsewhere, request: &UpRequest) -> Result<UpReply> {
    let site = Site::open(elsewhere)?;
    let project = site.load()?;
    check(elsewhere, &project)?;
    let caller = site.caller(Some(&project))?;
    if request.dry_run {
        let events = elsewhere.context.events.clone();
        return elsewhere.run(async |mut interrupt| {
            let far = unless(&mut interrupt, site.far()).await?;
            call(&far, caller, Verb::Up(request.clone()), &*events, &mut sink(), &mut interrupt).await
        });
    }
    let _lock = site.lock()?;
    let old = site.record()?;
    let name = project.name.clone();
    let mut record = old.clone().unwrap_or_else(|| {
        ThereRecord::new(elsewhere.place.clone(), site.id.clone(), name.clone(), site.folder.clone())
    });
    // From now on `down` knows where something may be.
    record.name = name;
    record.write(&site.paths)?;
    let made = elsewhere.run(async |mut interrupt| {
        let made = make(&site, &project, caller, request, &mut record, &mut interrupt).await;
        if made.as_ref().is_err_and(is_undone) {
            undo(&site, old.as_ref()).await;
        }
        made
    });
    // What could not be removed over there `down` has to find.
    if made.as_ref().is_err_and(is_undone) && old.is_none() && record.wanted.is_none() {
        forget(&site)?;
    }
    made
}

/// What cannot be in this place.
fn check(elsewhere: &Elsewhere, project: &Project) -> Result<()> {
    let host = project.boxes.iter().find(|wanted| wanted.image == ImageSource::Host);
    match host.filter(|_| elsewhere.place == Place::Vm) {
        Some(wanted) => Err(Failure::new(format!("{} cannot stand on `host` in the VM", wanted.name))
            .kind(Kind::Usage)
            .hint("the VM has no system of its own: name an image, as \"debian:bookworm\"")),
        None => Ok(()),
    }
}

async fn make(
    site: &Site<'_>,
    project: &Project,
    caller: Caller,
    request: &UpRequest,
    record: &mut ThereRecord,
    interrupt: &mut Interrupt,
) -> Result<UpReply> {
    let events = site.elsewhere.context.events.clone();
    let mut keeper = Keeper::ensure(site).await?;
    unless(interrupt, sync(site, &mut keeper, &ThereRequest::Sync { mounts: mounts(project) })).await?;
    // Before the boxes: a port that is taken is told while nothing is changed.
    record.ports = publish(site, &mut keeper, project, &record.ports).await?;
    let far = Far::Kept(site.paths.keeper_socket());
    let verb = Verb::Up(request.clone());
    let made: Result<UpReply> = call(&far, caller, verb, &*events, &mut sink(), interrupt).await;
    if !made.as_ref().is_err_and(is_undone) {
        let is_new = record.wanted.replace(project.clone()).is_none();
        if let Err(failure) = record.write(&site.paths) {
            if is_new {
                // Nobody would know of it.
                life::remove(site, &far, false, interrupt).await?;
                record.wanted = None;
            }
            return Err(failure);
        }
    }
    let mut reply = made?;
    reply.status = merged(site, reply.status, &record.ports);
    Ok(reply)
}

/// Whether the far side took back what it had made: a box whose program ended at once is there for `status` and `logs`,
/// and the others run.
fn is_undone(failure: &Failure) -> bool {
    failure.get_kind() != Kind::EndedAtOnce
}

/// Has the keeper make the folders equal, and tells what there is to know.
///
/// # Errors
/// A session cannot go on.
pub async fn sync(site: &Site<'_>, keeper: &mut Keeper, request: &ThereRequest) -> Result<()> {
    let events = &site.elsewhere.context.events;
    if let ThereReply::Synced { notes } = keeper.ask(request, &**events).await? {
        let mut told = site.told.lock().unwrap_or_else(PoisonError::into_inner);
        notes.into_iter().filter(|note| told.insert(note.clone())).for_each(|note| events.warn(note));
    }
    Ok(())
}

/// Has the keeper publish the ports of all boxes.
///
/// # Errors
/// One is taken; nothing changed then.
pub async fn publish(
    site: &Site<'_>,
    keeper: &mut Keeper,
    project: &Project,
    remembered: &BTreeMap<BoxName, Vec<PublishedPort>>,
) -> Result<BTreeMap<BoxName, Vec<PublishedPort>>> {
    let ports = project.boxes.iter().map(|wanted| BoxPorts {
        name: wanted.name.clone(),
        ports: wanted.ports.clone(),
        remembered: remembered.get(&wanted.name).cloned().unwrap_or_default(),
    });
    let events = &site.elsewhere.context.events;
    match keeper.ask(&ThereRequest::Publish { boxes: ports.collect() }, &**events).await? {
        ThereReply::Published { ports, notes } => {
            notes.into_iter().for_each(|note| events.note(note));
            Ok(ports)
        }
        _ => Err(Failure::new("the keeper answered something else than it was asked")),
    }
}

/// The folders and files that have to be there, each once.
pub fn mounts(project: &Project) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in project.boxes.iter().flat_map(|wanted| &wanted.mounts) {
        if !mounts.iter().any(|known| known.source == mount.source) {
            mounts.push(mount.clone());
        }
    }
    mounts
}

/// Takes back what an `up` that failed did here; the far side took back its part.
async fn undo(site: &Site<'_>, old: Option<&ThereRecord>) {
    let events = &site.elsewhere.context.events;
    let Ok(Some(mut keeper)) = Keeper::connect(&site.paths.keeper_socket()).await else { return };
    let undone = match old.and_then(|old| Some((old, old.wanted.as_ref()?))) {
        Some((old, wanted)) => {
            let sync = ThereRequest::Sync { mounts: mounts(wanted) };
            match keeper.ask(&sync, &**events).await {
                Ok(_) => publish(site, &mut keeper, wanted, &old.ports).await.map(drop),
                Err(failure) => Err(failure),
            }
        }
        None => keeper.quit().await,
    };
    if let Err(failure) = undone {
        events.warn(failure.chain().join(": "));
    }
}

/// Removes what is known here of a project of which nothing is there any more. The caller holds its lock.
///
/// # Errors
/// Something cannot be removed.
pub fn forget(site: &Site) -> Result<()> {
    keeper::end_lost(&site.paths);
    remove_tree_if_exists(site.paths.run())?;
    remove_tree_if_exists(site.paths.folder())
}

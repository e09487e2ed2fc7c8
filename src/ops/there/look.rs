//! `status`, `list` and `logs` of projects elsewhere.

use super::call::call;
use super::elsewhere::{Elsewhere, unless};
use super::far::Far;
use super::keeper::Keeper;
use super::site::Site;
use crate::model::call::{Caller, ProjectCalled, Verb};
use crate::model::event::Unheard;
use crate::model::request::LogsRequest;
use crate::model::status::{BoxState, BoxStatus, ProjectListed, Status};
use crate::model::{BoxName, Project, PublishedPort, Result};
use crate::ops::place::Origin;
use crate::state::ThereRecord;
use crate::sys::runtime;
use std::collections::BTreeMap;
use std::io::{Write, sink};

/// What runs of the caller's project.
///
/// # Errors
/// There is none, its files are wrong, or the place cannot be reached.
pub fn status(elsewhere: &Elsewhere) -> Result<Status> {
    let site = Site::open(elsewhere)?;
    let record = site.record()?;
    let project = match site.load() {
        Ok(project) => Some(project),
        // A file that is wrong at the moment must not hide what runs.
        Err(_) if record.is_some() => None,
        Err(failure) => return Err(failure),
    };
    let Some(record) = record else { return Ok(absent(&site, project.as_ref())) };
    let caller = site.caller(project.as_ref())?;
    let events = elsewhere.context.events.clone();
    let (there, ports) = elsewhere.run(async |mut interrupt| {
        let (far, ports) = match Keeper::find(&site.paths.keeper_socket()).await {
            Some(hello) => (Far::Kept(site.paths.keeper_socket()), hello.ports),
            None => (unless(&mut interrupt, Far::reach(elsewhere)).await?, BTreeMap::new()),
        };
        let status: Status = call(&far, caller, Verb::Status, &*events, &mut sink(), &mut interrupt).await?;
        Ok((status, ports))
    })?;
    let mut status = merged(&site, there, &ports);
    if status.project.is_empty() {
        status.project = record.name;
    }
    Ok(status)
}

/// What the far side says, with the ports and the path of this computer.
pub fn merged(site: &Site, mut status: Status, ports: &BTreeMap<BoxName, Vec<PublishedPort>>) -> Status {
    status.place = site.elsewhere.place.to_string();
    status.path = site.folder.clone();
    for one in status.boxes.iter_mut().filter(|one| one.state == BoxState::Running) {
        let published = BoxName::new(one.name.clone()).ok().and_then(|name| ports.get(&name));
        one.ports = published.cloned().unwrap_or_default();
    }
    status
}

fn absent(site: &Site, project: Option<&Project>) -> Status {
    Status {
        project: project.map(|project| project.name.clone()).unwrap_or_default(),
        path: site.folder.clone(),
        place: site.elsewhere.place.to_string(),
        boxes: project.iter().flat_map(|project| &project.boxes).map(BoxStatus::of_absent).collect(),
    }
}

/// The projects of this computer that are in the place.
///
/// # Errors
/// The records cannot be read.
pub fn list(elsewhere: &Elsewhere) -> Result<Vec<ProjectListed>> {
    let known = elsewhere.origin.layout.all_there()?.into_iter();
    let known = known.filter(|record| record.place == elsewhere.place).collect();
    list_of(&elsewhere.origin, known)
}

/// The projects of this computer that are elsewhere, in any place. What has no keeper does not run, or is not held; a
/// list starts nothing and connects to nothing.
///
/// # Errors
/// The records cannot be read.
pub fn list_all(origin: &Origin) -> Result<Vec<ProjectListed>> {
    list_of(origin, origin.layout.all_there()?)
}

fn list_of(origin: &Origin, known: Vec<ThereRecord>) -> Result<Vec<ProjectListed>> {
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = runtime::current_thread()?;
    runtime.block_on(async {
        let mut listed = Vec::new();
        for record in known {
            let socket = origin.layout.there(&record.folder, &record.place).keeper_socket();
            let running = match Keeper::find(&socket).await {
                Some(_) => running(&Far::Kept(socket), &record).await.unwrap_or_default(),
                None => 0,
            };
            let boxes = record.wanted.as_ref().map_or(0, |wanted| wanted.boxes.len());
            let place = record.place.to_string();
            listed.push(ProjectListed { project: record.name, path: record.folder, place, running, boxes });
        }
        Ok(listed)
    })
}

/// How many boxes of a project run.
async fn running(far: &Far, record: &ThereRecord) -> Result<usize> {
    let project =
        ProjectCalled { id: record.id.clone(), folder: record.folder.clone(), wanted: None, files: Vec::new() };
    let caller = Caller { folder: record.folder.clone(), project: Some(project), ..Caller::default() };
    let (_held, mut interrupt) = tokio::sync::watch::channel(false);
    let status: Status = call(far, caller, Verb::Status, &Unheard, &mut sink(), &mut interrupt).await?;
    Ok(status.boxes.iter().filter(|one| one.state == BoxState::Running).count())
}

/// Writes what the boxes' programs wrote.
///
/// # Errors
/// There is no such box, or the place cannot be reached.
pub fn logs(elsewhere: &Elsewhere, request: &LogsRequest, out: &mut dyn Write) -> Result<()> {
    let site = Site::open(elsewhere)?;
    let caller = site.caller(None)?;
    let events = elsewhere.context.events.clone();
    elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, site.far()).await?;
        call(&far, caller, Verb::Logs(request.clone()), &*events, out, &mut interrupt).await
    })
}

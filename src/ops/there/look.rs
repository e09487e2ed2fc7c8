//! `status`, `list` and `logs` of projects elsewhere.

use super::call::call;
use super::elsewhere::{Elsewhere, unless};
use super::far::Far;
use super::keeper::Keeper;
use super::site::Site;
use crate::model::call::Verb;
use crate::model::request::LogsRequest;
use crate::model::status::{BoxState, BoxStatus, ProjectListed, Status};
use crate::model::{BoxName, Project, PublishedPort, Result};
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
/// The place cannot be reached.
pub fn list(elsewhere: &Elsewhere) -> Result<Vec<ProjectListed>> {
    let known = elsewhere.origin.layout.all_there(&elsewhere.place)?;
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let caller = elsewhere.caller(None)?;
    let events = elsewhere.context.events.clone();
    let mut listed: Vec<ProjectListed> = elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, Far::reach(elsewhere)).await?;
        call(&far, caller, Verb::List, &*events, &mut sink(), &mut interrupt).await
    })?;
    // Other computers may have projects there too.
    listed.retain(|one| known.iter().any(|record| record.folder == one.path));
    Ok(listed)
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

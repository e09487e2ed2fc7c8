//! `status`, `ports` and `list`: what runs.

use super::making;
use super::site::{Computer, KnownBox, Site};
use crate::model::status::{BoxState, BoxStatus, ProjectListed, ProjectRunning, Status};
use crate::model::{BoxName, BoxWanted, Project, Result};
use crate::ops::Context;
use crate::state::record::project_ids;
use crate::state::{BoxRecord, ProjectRecord};
use crate::sys::linux::facts;
use std::collections::BTreeMap;

/// What runs of the caller's project.
///
/// # Errors
/// There is none, or its files or records cannot be read.
pub fn status(context: &Context) -> Result<Status> {
    let site = Site::open(context)?;
    // A file that is wrong at the moment must not hide what runs.
    let project = match site.load() {
        Ok(project) => Some(project),
        Err(_) if site.record()?.is_some() => None,
        Err(failure) => return Err(failure),
    };
    of(&site, project.as_ref())
}

/// What runs of a project, whose file may want boxes that are not there yet.
///
/// # Errors
/// A record cannot be read.
pub fn of(site: &Site, project: Option<&Project>) -> Result<Status> {
    let record = site.record()?;
    let boxes = site.boxes()?;
    let wanted: BTreeMap<&BoxName, &BoxWanted> =
        project.iter().flat_map(|project| &project.boxes).map(|wanted| (&wanted.name, wanted)).collect();
    let mut names: Vec<&BoxName> = wanted.keys().copied().chain(boxes.keys()).collect();
    names.sort_by_key(|name| (!name.is_dev(), name.as_str()));
    names.dedup();
    let one = |name: &BoxName| match boxes.get(name) {
        Some(known) => Some(known_box(site, name, known, record.as_ref())),
        None => wanted.get(name).map(|wanted| BoxStatus::of_absent(wanted)),
    };
    Ok(Status {
        project: project.map(|p| p.name.clone()).or(record.as_ref().map(|r| r.name.clone())).unwrap_or_default(),
        path: site.folder.clone(),
        place: "here".into(),
        boxes: names.into_iter().filter_map(one).collect(),
    })
}

fn known_box(site: &Site, name: &BoxName, known: &KnownBox, project: Option<&ProjectRecord>) -> BoxStatus {
    let BoxRecord { wanted, digest, stopped, life, .. } = &known.record;
    let process = known.process.as_ref();
    let exit = making::exit_record(&site.paths.a_box(name)).map(|record| record.exit_code);
    let ended_in_this_boot = life.as_ref().is_some_and(|life| life.init.boot_id == facts::boot_id());
    let (state, exit_code) = match (process, life) {
        (Some(_), _) => (BoxState::Running, None),
        (None, None) => (BoxState::Stopped, None),
        (None, Some(_)) if *stopped => (BoxState::Stopped, exit),
        // Nobody wrote down how it ended: it was killed with SIGKILL, or went down with the computer.
        (None, Some(_)) => (BoxState::Exited, exit.or(ended_in_this_boot.then_some(137))),
    };
    let published = project.and_then(|project| project.ports.get(name)).cloned().unwrap_or_default();
    BoxStatus {
        name: name.to_string(),
        image: wanted.image.to_string(),
        digest: digest.clone(),
        state,
        pid: process.map(crate::sys::linux::pidfd::Process::pid),
        ip: project.and_then(|project| project.addresses.get(name)).map(ToString::to_string),
        started_at: life.as_ref().map(|life| life.started_at.clone()),
        exit_code,
        health: None,
        ports: if process.is_some() { published } else { Vec::new() },
        loosened: wanted.security.words(),
    }
}

/// The boxes of this user that run.
///
/// # Errors
/// The records cannot be read.
pub fn running() -> Result<Vec<ProjectRunning>> {
    let layout = Computer::look(None)?.layout;
    let mut found = Vec::new();
    for id in project_ids(&layout.projects())? {
        let paths = layout.project(&id);
        let Some(record) = ProjectRecord::read(&paths)? else { continue };
        let boxes = super::site::boxes_of(&paths)?;
        let boxes = boxes.iter().filter(|(_, known)| known.is_running());
        let boxes: Vec<String> = boxes.map(|(name, _)| name.to_string()).collect();
        if !boxes.is_empty() {
            found.push(ProjectRunning { project: record.name, path: record.folder, boxes });
        }
    }
    Ok(found)
}

/// Every project of this user of which anything is left.
///
/// # Errors
/// The records cannot be read.
pub fn list(context: &Context) -> Result<Vec<ProjectListed>> {
    projects(&Computer::look(context.caller.as_ref())?)
}

fn projects(computer: &Computer) -> Result<Vec<ProjectListed>> {
    let mut listed = Vec::new();
    for id in project_ids(&computer.layout.projects())? {
        let paths = computer.layout.project(&id);
        let Some(record) = ProjectRecord::read(&paths)? else { continue };
        let boxes = super::site::boxes_of(&paths)?;
        let running = boxes.values().filter(|known| known.is_running()).count();
        listed.push(ProjectListed {
            project: record.name,
            path: record.folder,
            place: "here".into(),
            running,
            boxes: boxes.len(),
        });
    }
    Ok(listed)
}

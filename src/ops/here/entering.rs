//! `shell` and `exec`: running a program in a box.

use super::site::Site;
use super::{net, up};
use crate::engine::enter::{self, Enter};
use crate::engine::scope;
use crate::model::request::{EnterRequest, UpRequest};
use crate::model::{BoxName, Failure, Kind, Result, Trying};
use crate::ops::Context;
use crate::ops::plan::unknown_box;
use crate::state::{BoxRecord, Life};
use crate::sys::environment::variable;
use crate::sys::linux::facts;
use crate::sys::linux::interrupt;
use std::path::{Path, PathBuf};

/// Runs a program in a box and gives its exit code. A `shell` starts the project when it is down. This process
/// becomes the program that enters, so on success nothing returns from here.
///
/// # Errors
/// There is no such box, it does not run, or the program cannot be run.
pub fn enter(context: &Context, request: &EnterRequest, shell: bool) -> Result<i32> {
    let site = Site::open(context)?;
    let name = request.name.clone().unwrap_or_else(BoxName::dev);
    let record = match running(&site, &name)? {
        Some(record) => {
            if let Err(failure) = net::revive(&site) {
                site.context.events.warn(format!("no ports and no way out: {}", failure.chain().join(": ")));
            }
            record
        }
        None if shell => {
            let project = site.load()?;
            if project.get_box(&name).is_none() {
                return Err(unknown_box(&name, project.boxes.iter().map(|wanted| &wanted.name)));
            }
            up::up(context, &UpRequest { only: vec![name.clone()], ..UpRequest::default() })?;
            interrupt::unwatch();
            running(&site, &name)?.ok_or_else(|| {
                Failure::new(format!("{name} does not stay up"))
                    .hint(format!("`devenv logs {name}` shows what it wrote"))
            })?
        }
        None => return Err(not_running(&site, &name)?),
    };
    let life = record.life.as_ref().ok_or_else(|| Failure::new(format!("{name} is not running")))?;
    let mut entry = describe(&site, request, &record, life)?;
    if !scope::go_where_groups_can_be_joined(&entry.cgroups) {
        let what = "this login may not enter the box's control group: what runs now is not held to `resources`";
        site.context.events.note(what);
        entry.cgroups.clear();
    }
    Err(enter::begin(&entry))
}

/// The record of a box that runs.
fn running(site: &Site, name: &BoxName) -> Result<Option<BoxRecord>> {
    let record = BoxRecord::read(&site.paths.a_box(name))?;
    Ok(record.filter(|record| record.life.as_ref().is_some_and(|life| life.init.is_alive())))
}

fn not_running(site: &Site, name: &BoxName) -> Result<Failure> {
    let boxes = site.boxes()?;
    if !boxes.is_empty() && !boxes.contains_key(name) {
        return Ok(unknown_box(name, boxes.keys()));
    }
    Ok(Failure::new(format!("{name} is not running")).kind(Kind::NotRunning).hint("`devenv up` starts it"))
}

fn describe(site: &Site, request: &EnterRequest, record: &BoxRecord, life: &Life) -> Result<Enter> {
    let mut enter: Enter = serde_json::from_value(life.entry.clone()).trying(|| "cannot read how to enter the box")?;
    enter.command = request.command.clone();
    enter.terminal = request.terminal.unwrap_or_else(facts::has_terminal);
    if let Some(user) = &request.user {
        enter.user = user.clone();
    }
    let folder = request.workdir.clone().or_else(|| stands_in(&site.context.folder, record));
    let mut more = request.env.clone();
    if enter.terminal {
        // What the program needs to know of the user's terminal.
        let about = ["TERM", "COLORTERM", "LANG", "LC_ALL"].map(|name| (name, variable(name)));
        let unnamed = |name: &str| !request.env.iter().any(|(known, _)| known == name);
        more.extend(about.into_iter().filter_map(|(name, value)| unnamed(name).then_some((name.to_owned(), value?))));
    }
    enter::adjust(&mut enter.spec, &more, folder)?;
    Ok(enter)
}

/// Where in the box the caller's folder is, when it lies in something mounted: the innermost mount counts.
fn stands_in(folder: &Path, record: &BoxRecord) -> Option<PathBuf> {
    let mounts = &record.wanted.mounts;
    let inside = mounts.iter().filter_map(|mount| Some((mount, folder.strip_prefix(&mount.source).ok()?)));
    let (mount, rest) = inside.min_by_key(|(_, rest)| rest.components().count())?;
    // `join` of nothing would add a slash.
    Some(if rest.as_os_str().is_empty() { mount.target.clone() } else { mount.target.join(rest) })
}

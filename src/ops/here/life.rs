//! `stop`, `start`, `restart` and `down`.

use super::keeper::Keeper;
use super::making;
use super::net;
use super::site::{KnownBox, Site};
use super::{tree, undo, up};
use crate::model::request::UpRequest;
use crate::model::{BoxName, BoxWanted, Failure, Result};
use crate::ops::Context;
use crate::ops::plan::{in_order, unknown_box};
use crate::sys::fs::{remove_file_if_exists, remove_tree_if_exists};
use std::collections::BTreeMap;

/// Stops one box, or all in reverse order of dependence. Layers and volumes stay.
///
/// # Errors
/// There is no such box, or it does not end.
pub fn stop(context: &Context, only: Option<&BoxName>) -> Result<()> {
    let site = Site::open(context)?;
    let _lock = site.lock()?;
    let mut boxes = site.own_boxes()?;
    stop_boxes(&site, &mut boxes, only)?;
    if boxes.is_empty() { undo::forget(&site) } else { Ok(()) }
}

fn stop_boxes(site: &Site, boxes: &mut BTreeMap<BoxName, KnownBox>, only: Option<&BoxName>) -> Result<()> {
    if let Some(name) = only
        && !boxes.contains_key(name)
    {
        return Err(unknown_box(name, boxes.keys()));
    }
    let mut failures = Vec::new();
    for name in reverse_order(boxes).into_iter().filter(|name| only.is_none_or(|only| only == name)) {
        let Some(known) = boxes.get_mut(&name) else { continue };
        let ran = known.is_running();
        match making::stop(site, known) {
            Ok(()) if ran => site.context.events.done(format!("stopped {name}")),
            Ok(()) => {}
            Err(failure) => failures.push(failure),
        }
    }
    let settled = settle_network(site, boxes);
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => settled,
    }
}

fn reverse_order(boxes: &BTreeMap<BoxName, KnownBox>) -> Vec<BoxName> {
    let wanted: Vec<BoxWanted> = boxes.values().map(|known| known.record.wanted.clone()).collect();
    let mut names: Vec<BoxName> = in_order(&wanted).into_iter().map(|wanted| wanted.name.clone()).collect();
    names.reverse();
    names
}

/// Takes the network from boxes that do not run any more; with the last of them the keeper goes.
fn settle_network(site: &Site, boxes: &BTreeMap<BoxName, KnownBox>) -> Result<()> {
    let runs = boxes.values().any(KnownBox::is_running);
    let record = site.record()?;
    let Some(mut keeper) = Keeper::connect(&site.paths.keeper_socket())? else {
        return if runs { Ok(()) } else { net::end_lost_keeper(site) };
    };
    match record {
        Some(mut record) if runs => {
            let running = boxes.values().filter(|known| known.is_running()).map(|known| &known.record.wanted);
            let set = keeper.set_network(&net::plan(&record, &record.network, running), &[])?;
            record.ports.extend(set.ports);
            record.write(&site.paths)
        }
        record => {
            keeper.quit()?;
            remove_file_if_exists(&site.paths.keeper_socket())?;
            match record {
                Some(mut record) => {
                    record.keeper = None;
                    // A full disk must not keep anything up; a keeper that is gone is known by its absence too.
                    if let Err(failure) = record.write(&site.paths) {
                        site.context.events.warn(failure.chain().join(": "));
                    }
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }
}

/// Starts one box and what it depends on, or all.
///
/// # Errors
/// As `up`.
pub fn start(context: &Context, only: Option<&BoxName>) -> Result<()> {
    up::up(context, &UpRequest { only: only.into_iter().cloned().collect(), ..UpRequest::default() }).map(drop)
}

/// Stops and starts one box, or all.
///
/// # Errors
/// As `stop` and `up`.
pub fn restart(context: &Context, only: Option<&BoxName>) -> Result<()> {
    // Everything that can be wrong with the file is told before anything is stopped.
    Site::open(context)?.load()?;
    stop(context, only)?;
    start(context, only)
}

/// Removes boxes, network and keeper, and the volumes when asked to. Never the source. Goes on after errors.
///
/// # Errors
/// The first thing that could not be removed.
pub fn down(context: &Context, volumes: bool) -> Result<()> {
    let site = Site::open(context)?;
    let has_trees = context.caller.is_some() && tree::has_trees(&site.computer, &site.id);
    if !(site.paths.folder().exists() || has_trees || volumes && site.paths.volumes().exists()) {
        site.context.events.note("nothing is up here");
        return Ok(());
    }
    let _lock = site.lock()?;
    let mut boxes = site.own_boxes()?;
    site.enter(&boxes)?;
    let mut results = vec![stop_boxes(&site, &mut boxes, None)];
    for known in boxes.values() {
        results.push(making::remove(&site, &known.record));
    }
    if volumes {
        results.push(remove_tree_if_exists(site.paths.volumes()));
    }
    if context.caller.is_some() {
        results.push(tree::remove_trees(&site.computer, &site.id));
    }
    results.push(undo::forget(&site));
    let failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    for failure in failures.iter().skip(1) {
        site.context.events.warn(failure.chain().join(": "));
    }
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => {
            site.context.events.done(match volumes {
                true => "removed the boxes, their network and their volumes",
                false => "removed the boxes and their network",
            });
            Ok(())
        }
    }
}

//! `setup`: shell lines run once as root on top of an image, and kept as a layer.

use super::base::Base;
use super::making::{self, Start, Surroundings};
use super::site::Site;
use super::up::check_interrupt;
use super::wiring::Wiring;
use crate::image::{Setup, Store};
use crate::model::event::Event;
use crate::model::{BoxName, BoxWanted, Failure, Limits, Result, Trying};
use crate::state::ProjectRecord;
use crate::sys::fs::remove_tree_if_exists;
use crate::sys::linux::signal;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// The layer that the setup lines of `wanted` leave on `base`: kept from before, or made now in a box of its own.
///
/// # Errors
/// A line failed: the whole is then not kept.
pub fn layer(
    site: &Site,
    store: &Store,
    program: &OwnedFd,
    wanted: &BoxWanted,
    base: &Base,
    wiring: &mut Wiring,
) -> Result<PathBuf> {
    let key = key(base, &wanted.setup);
    let events = &site.context.events;
    let name = &wanted.name;
    let made = match store.begin_setup(&key, || events.note("waiting for another devenv that runs the same setup"))? {
        Setup::Kept(layer) => return Ok(layer),
        Setup::Begun(made) => made,
    };
    events.step(format!("setting up {name}"));
    // The box is `dev` or a service in all but its name, its layer, and what it runs.
    let temporary = free_name(name, &wiring.record)?;
    let paths = site.paths.a_box(&temporary);
    remove_tree_if_exists(paths.folder())?;
    making::make_layer(&made.upper(), &made.work(), &paths.root())?;
    let around = wiring.add_for_a_while(site, &temporary)?;
    let wanted_now = BoxWanted {
        name: temporary,
        hostname: name.as_str().into(),
        mounts: vec![],
        volumes: vec![],
        limits: Limits::default(),
        workdir: Some("/".into()),
        ..wanted.clone()
    };
    let start = Start {
        wanted: &wanted_now,
        config: &base.config,
        words: vec!["/bin/sh".into(), "-ec".into(), wanted.setup.join("\n")],
        user: "0".into(),
        root: making::root_of(site, wanted, &base.layers, made.upper(), made.work()),
        paths: &paths,
    };
    let ran = run(site, program, &start, around, name);
    wiring.remove_added()?;
    remove_tree_if_exists(paths.folder())?;
    ran?;
    let layer = made.commit(store)?;
    events.done(format!("set up {name}"));
    Ok(layer)
}

/// What a setup layer is kept under: the image and the lines decide everything in it.
fn key(base: &Base, lines: &[String]) -> String {
    let below: Vec<String> =
        base.layers.iter().filter_map(|l| Some(l.file_name()?.to_string_lossy().into_owned())).collect();
    serde_json::to_string(&(base.digest.as_deref().unwrap_or("host"), below, lines)).unwrap_or_default()
}

/// A name for the box of a setup, that no other box has.
fn free_name(name: &BoxName, record: &ProjectRecord) -> Result<BoxName> {
    let short = name.as_str()[..name.as_str().len().min(50)].trim_end_matches('-');
    let mut temporary = BoxName::new(format!("setup-{short}")).map_err(Failure::new)?;
    let mut number = 1;
    while record.addresses.contains_key(&temporary) {
        number += 1;
        temporary = BoxName::new(format!("setup-{short}-{number}")).map_err(Failure::new)?;
    }
    Ok(temporary)
}

fn run(site: &Site, program: &OwnedFd, start: &Start, around: Surroundings, name: &BoxName) -> Result<()> {
    let life = making::start(site, program, start, around)?;
    let log = start.paths.log();
    let mut output = BufReader::new(File::open(&log).trying(|| format!("cannot read {}", log.display()))?);
    let mut last = String::new();
    let process = life.init.open();
    loop {
        let ended = process.as_ref().is_none_or(|process| process.wait(Duration::from_millis(50)));
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            site.context.events.send(Event::Output { origin: name.to_string(), line: text.clone() });
            if !text.is_empty() {
                last = text;
            }
            line.clear();
        }
        if ended {
            break;
        }
        if let (Err(failure), Some(process)) = (check_interrupt(), &process) {
            process.signal(signal::KILL);
            process.wait(Duration::from_secs(5));
            return Err(failure);
        }
    }
    match making::exit_record(start.paths).map(|record| record.exit_code) {
        Some(0) => Ok(()),
        code => {
            let what = match code {
                Some(code) => format!("the setup of {name} failed with exit code {code}"),
                None => format!("the setup of {name} was killed"),
            };
            let failure = if last.is_empty() { Failure::new(what) } else { Failure::because(what, last) };
            Err(failure.hint("nothing of it was kept; mend the lines and run `devenv up` again"))
        }
    }
}

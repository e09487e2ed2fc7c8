//! What an `up` that failed has to take back.

use super::keeper::Keeper;
use super::making;
use super::net;
use super::site::{KnownBox, Site};
use crate::model::{BoxName, Failure, Result};
use crate::state::ProjectRecord;
use crate::sys::fs::{remove_file_if_exists, remove_tree_if_exists};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// What was begun, in order.
#[derive(Default)]
pub struct Undo {
    created: Vec<BoxName>,
    started: Vec<BoxName>,
    /// The project as it was, once its network was touched.
    network: Option<Option<ProjectRecord>>,
}

impl Undo {
    pub fn created(&mut self, name: &BoxName) {
        self.created.push(name.clone());
    }

    pub fn started(&mut self, name: &BoxName) {
        self.started.push(name.clone());
    }

    /// Remembers how the network was.
    pub fn note_network(&mut self, old: Option<&ProjectRecord>) {
        self.network = Some(old.cloned());
    }

    /// Takes everything back, last first. Goes on after errors, and tells each.
    pub fn all(&mut self, site: &Site, boxes: &mut BTreeMap<BoxName, KnownBox>) {
        let tell = |result: Result<()>| {
            if let Err(failure) = result {
                site.context.events.warn(failure.chain().join(": "));
            }
        };
        for name in self.started.drain(..).rev() {
            if let Some(known) = boxes.get_mut(&name) {
                tell(making::stop(site, known));
            }
        }
        for name in self.created.drain(..).rev() {
            match boxes.remove(&name) {
                Some(known) => tell(making::remove(site, &known.record)),
                None => tell(remove_tree_if_exists(site.paths.a_box(&name).folder())),
            }
        }
        if let Some(old) = self.network.take() {
            tell(restore_network(site, old, boxes));
        }
        if boxes.is_empty() {
            // Also one that an `up` before this one left, killed before it had a box.
            tell(restore_network(site, None, boxes));
            tell(forget(site));
        }
    }
}

/// Makes the network that of the boxes still running; without any the keeper goes.
fn restore_network(site: &Site, old: Option<ProjectRecord>, boxes: &BTreeMap<BoxName, KnownBox>) -> Result<()> {
    let Some(mut keeper) = Keeper::connect(&site.paths.keeper_socket())? else { return net::end_lost_keeper(site) };
    let running = boxes.values().filter(|known| known.is_running()).map(|known| &known.record.wanted);
    match old {
        Some(old) if boxes.values().any(KnownBox::is_running) => {
            let plan = net::plan(&old, &old.network, running);
            keeper.set_network(&plan, &[]).map(drop)
        }
        _ => {
            keeper.quit()?;
            remove_file_if_exists(&site.paths.keeper_socket())
        }
    }
}

/// Removes the state of a project that has no box. The caller holds its lock.
///
/// # Errors
/// Something cannot be removed.
pub fn forget(site: &Site) -> Result<()> {
    making::remove_groups(site);
    remove_tree_if_exists(site.paths.run())?;
    // The lock goes last: with it gone another devenv may begin in the same folder.
    let folder = site.paths.folder();
    let lock = site.paths.lock();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_tree_if_exists(&path)?,
            _ if path == lock => {}
            _ => remove_file_if_exists(&path)?,
        }
    }
    remove_file_if_exists(&lock)?;
    match std::fs::remove_dir(folder) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(Failure::because(format!("cannot remove {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

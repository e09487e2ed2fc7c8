//! The project's network as `up` wants it, and the keeper that makes it so.

use super::keeper::{self, Keeper};
use super::outside;
use super::site::{KnownBox, Site};
use crate::engine::birth;
use crate::model::wire::{BoxNetwork, KeeperStart, NetworkPlan, Survivor};
use crate::model::{BoxName, BoxWanted, Failure, NetworkWanted, Project, Result};
use crate::network::address::{Subnet, Wanted, choose_addresses, choose_subnet, read_routes};
use crate::state::ProjectRecord;
use crate::sys::linux::exe;
use crate::sys::linux::pidfd::{Identity, Process};
use crate::sys::linux::signal;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// How long the kernel may take to end a killed keeper.
const LOST_PATIENCE: Duration = Duration::from_secs(10);

/// The record of a project, with the subnet and addresses it keeps from now on. Boxes that run keep theirs also when
/// the old record is lost.
///
/// # Errors
/// A wanted address does not fit, or the subnet is full.
pub fn settle(
    site: &Site,
    project: &Project,
    old: Option<ProjectRecord>,
    boxes: &[&BoxWanted],
    known: &BTreeMap<BoxName, KnownBox>,
) -> Result<ProjectRecord> {
    let subnet = match (project.network.subnet, &old) {
        (Some((address, prefix)), _) => Subnet { address, prefix },
        (None, Some(old)) if old.network.subnet.is_none() => Subnet { address: old.subnet, prefix: old.prefix },
        _ => {
            let routes = read_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default());
            choose_subnet(&site.id, &routes, &project.network.dns)
        }
    };
    let (id, folder) = (site.id.clone(), site.folder.clone());
    let mut record =
        old.unwrap_or_else(|| ProjectRecord::new(id, project.name.clone(), folder, subnet.address, subnet.prefix));
    let wanted: Vec<Wanted> = boxes.iter().map(|b| Wanted { name: b.name.clone(), address: b.ip }).collect();
    for (name, known) in known.iter().filter(|(_, known)| known.is_running()) {
        if let Some(life) = &known.record.life {
            record.addresses.entry(name.clone()).or_insert(life.ip);
        }
    }
    let remembered = record.addresses.clone();
    record.addresses.extend(choose_addresses(subnet, &wanted, &remembered)?);
    record.name = project.name.clone();
    (record.subnet, record.prefix) = (subnet.address, subnet.prefix);
    record.network = project.network.clone();
    record.loopback_ports = outside::proxy_ports(&site.computer.settings()?.proxy);
    Ok(record)
}

/// The router's address: gateway and resolver of every box.
pub fn gateway(record: &ProjectRecord) -> Ipv4Addr {
    Subnet { address: record.subnet, prefix: record.prefix }.gateway()
}

/// The plan of a network with these boxes.
pub fn plan<'b>(
    record: &ProjectRecord,
    network: &NetworkWanted,
    boxes: impl IntoIterator<Item = &'b BoxWanted>,
) -> NetworkPlan {
    let boxes = boxes.into_iter().filter_map(|wanted| {
        Some(BoxNetwork {
            name: wanted.name.clone(),
            address: *record.addresses.get(&wanted.name)?,
            ports: wanted.ports.clone(),
            remembered: record.ports.get(&wanted.name).cloned().unwrap_or_default(),
        })
    });
    NetworkPlan {
        subnet: record.subnet,
        prefix: record.prefix,
        dns: network.dns.clone(),
        loopback_ports: record.loopback_ports.clone(),
        boxes: boxes.collect(),
    }
}

/// The project's keeper: the one that runs, or a new one that takes over what a lost one left. One of another build
/// gives way. A new one may not be ready yet.
///
/// # Errors
/// It cannot be started.
pub fn ensure_keeper(site: &Site, boxes: &BTreeMap<BoxName, KnownBox>) -> Result<Keeper> {
    let (socket, log) = (site.paths.keeper_socket(), site.paths.keeper_log());
    let build = exe::build_id();
    if let Some(mut found) = Keeper::connect(&socket).unwrap_or(None) {
        if let Ok(hello) = found.hello()
            && hello.build == build
        {
            return Ok(found);
        }
        // One that does not answer is as good as gone: its death lets go of all it held.
        found.quit()?;
    }
    end_lost_keeper(site)?;
    let survivors = boxes.iter().filter_map(|(name, known)| {
        let pid = known.process.as_ref()?.pid();
        Some(Survivor { name: name.clone(), pid, router_descriptor: birth::ROUTER })
    });
    let start = KeeperStart { project: site.id.clone(), build, survivors: survivors.collect() };
    Keeper::spawn(Path::new("/proc/self/exe"), &socket, &log, &start)
}

/// Waits until the keeper is ready, and tells which process it is.
///
/// # Errors
/// It ended at once.
pub fn identify(site: &Site, keeper: &mut Keeper) -> Result<Identity> {
    let see_log = |failure: Failure| failure.hint(format!("its log is {}", site.paths.keeper_log().display()));
    let pid = keeper.hello().map_err(see_log)?.pid;
    Identity::of(pid).ok_or_else(|| see_log(Failure::new("the keeper ended at once")))
}

/// The project's keeper when it answers, also one that no record tells of.
pub fn keeper(site: &Site) -> Option<Process> {
    let mut found = Keeper::connect(&site.paths.keeper_socket()).unwrap_or(None)?;
    Process::open(found.hello().ok()?.pid).ok()
}

/// Ends the keeper of the project's record when it lives: nobody can reach it any more, since its socket is gone.
///
/// # Errors
/// It does not end.
pub fn end_lost_keeper(site: &Site) -> Result<()> {
    let Some(lost) = site.record()?.and_then(|record| record.keeper).and_then(|keeper| keeper.open()) else {
        return Ok(());
    };
    lost.signal(signal::KILL);
    match lost.wait(LOST_PATIENCE) {
        true => Ok(()),
        false => Err(Failure::new(format!("a lost keeper, process {}, does not end", lost.pid()))),
    }
}

/// Brings back the keeper of a project whose boxes run without one, with the network as it was recorded. Looks before
/// it locks: where the keeper lives this costs two small reads.
///
/// # Errors
/// It cannot be started, or a port is taken meanwhile.
pub fn revive(site: &Site) -> Result<()> {
    // One that was killed may still hold its ports, and serves nobody any more.
    let lives = |record: &ProjectRecord| {
        let keeper = record.keeper.as_ref().and_then(Identity::open);
        keeper.is_some_and(|keeper| !keeper.is_ending())
    };
    if site.record()?.as_ref().is_none_or(lives) {
        return Ok(());
    }
    let _lock = site.lock()?;
    let Some(mut record) = site.record()?.filter(|record| !lives(record)) else { return Ok(()) };
    end_lost_keeper(site)?;
    let boxes = site.boxes()?;
    let running = boxes.values().filter(|known| known.is_running()).map(|known| &known.record.wanted);
    let plan = plan(&record, &record.network, running);
    let bound = claim_ports(site, &plan, Some(&record))?;
    site.enter(&boxes)?;
    let mut keeper = ensure_keeper(site, &boxes)?;
    record.keeper = Some(identify(site, &mut keeper)?);
    let set = keeper.set_network(&plan, &bound)?;
    set.notes.iter().for_each(|note| site.context.events.note(note));
    record.ports.extend(set.ports);
    record.write(&site.paths)
}

/// What has to be done about ports before entering a user namespace: fails when one is taken by somebody who can be
/// named only out here, and binds those that only root may bind.
///
/// # Errors
/// A port is taken.
pub fn claim_ports(site: &Site, plan: &NetworkPlan, old: Option<&ProjectRecord>) -> Result<Vec<OwnedFd>> {
    let living = old.filter(|record| record.keeper.as_ref().is_some_and(Identity::is_alive));
    let own = living.into_iter().flat_map(|record| record.ports.values().flatten());
    match keeper::find_taken(plan, own, |pid| keeper(site).is_some_and(|keeper| keeper.pid() == pid)) {
        Some(failure) => Err(failure),
        None => Ok(keeper::bind_privileged(plan)),
    }
}

//! The network of a project while its boxes are made.

use super::keeper::{Keeper, NetworkSet};
use super::making::Surroundings;
use super::net;
use super::site::{KnownBox, Site};
use crate::model::wire::{BoxNetwork, NetworkPlan};
use crate::model::{BoxName, Failure, Result, Trying};
use crate::network::address::{Subnet, Wanted, choose_addresses};
use crate::state::ProjectRecord;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

/// A network that the keeper makes: its namespaces are there, the rest comes while boxes are put together.
pub struct Wiring {
    /// The project as it is recorded.
    pub record: ProjectRecord,
    plan: NetworkPlan,
    keeper: Keeper,
    set: NetworkSet,
    is_settled: bool,
}

impl Wiring {
    /// Has the project's keeper begin with the network, and writes down who the keeper is. `bound` are sockets of ports
    /// that only root may bind. `meanwhile` is done while a new keeper gets ready.
    ///
    /// # Errors
    /// The keeper cannot be started, or the network not be made; or what `meanwhile` says.
    pub fn begin(
        site: &Site,
        boxes: &BTreeMap<BoxName, KnownBox>,
        mut record: ProjectRecord,
        plan: NetworkPlan,
        bound: &[OwnedFd],
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Wiring> {
        let mut keeper = net::ensure_keeper(site, boxes)?;
        meanwhile()?;
        record.keeper = Some(net::identify(site, &mut keeper)?);
        let set = keeper.begin_network(&plan, bound)?;
        set.notes.iter().for_each(|note| site.context.events.note(note));
        record.ports.extend(set.ports.clone());
        record.write(&site.paths)?;
        Ok(Wiring { record, plan, keeper, set, is_settled: false })
    }

    /// Waits until the network is made, and tells the user what there is to know.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn settle(&mut self, site: &Site) -> Result<()> {
        if !self.is_settled {
            self.keeper.settle()?.iter().for_each(|note| site.context.events.note(note));
            self.is_settled = true;
        }
        Ok(())
    }

    /// What the box `name` gets of the network.
    ///
    /// # Errors
    /// It is not in the plan, or no descriptors are left.
    pub fn surroundings(&self, name: &BoxName) -> Result<Surroundings> {
        let at = self.plan.boxes.iter().position(|wanted| wanted.name == *name);
        let found = at.and_then(|at| Some((self.plan.boxes[at].address, self.set.boxes.get(at)?)));
        let (address, namespace) = found.ok_or_else(|| Failure::new(format!("{name} has no place in the network")))?;
        self.place(address, namespace, &self.set)
    }

    fn place(&self, address: Ipv4Addr, namespace: &OwnedFd, set: &NetworkSet) -> Result<Surroundings> {
        let copy = |descriptor: &OwnedFd| descriptor.try_clone().trying(|| "no descriptors are left");
        let (network, router, settled) = (copy(namespace)?, copy(&set.router)?, copy(&set.settled)?);
        let subnet = Subnet { address: self.plan.subnet, prefix: self.plan.prefix };
        let boxes = self.record.addresses.keys().cloned().collect();
        Ok(Surroundings { address, subnet, boxes, network, router, settled })
    }

    /// Adds a box for a while, at an address that nobody else has.
    ///
    /// # Errors
    /// There is no address left, or the kernel refuses.
    pub fn add_for_a_while(&mut self, site: &Site, name: &BoxName) -> Result<Surroundings> {
        self.settle(site)?;
        let address = self.free_address(name)?;
        let mut with_it = self.plan.clone();
        with_it.boxes.push(BoxNetwork { name: name.clone(), address, ports: vec![], remembered: vec![] });
        let mut set = self.keeper.begin_network(&with_it, &[])?;
        let namespace = set.boxes.pop().ok_or_else(|| Failure::new("the keeper gave no network for the setup"))?;
        self.place(address, &namespace, &set)
    }

    /// Makes the network as it was before such a box.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn remove_added(&mut self) -> Result<()> {
        self.keeper.set_network(&self.plan, &[]).map(drop)
    }

    /// An address that no box has.
    fn free_address(&self, name: &BoxName) -> Result<Ipv4Addr> {
        let subnet = Subnet { address: self.plan.subnet, prefix: self.plan.prefix };
        let of_others = self.record.addresses.iter().filter(|(other, _)| *other != name);
        let mut wanted: Vec<Wanted> =
            of_others.map(|(name, address)| Wanted { name: name.clone(), address: Some(*address) }).collect();
        wanted.push(Wanted { name: name.clone(), address: None });
        let chosen = choose_addresses(subnet, &wanted, &BTreeMap::new())?;
        chosen.get(name).copied().ok_or_else(|| Failure::new("the project's network has no address left"))
    }
}

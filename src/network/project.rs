//! The whole network of one project, made as a plan says: all of it, or nothing changes.

use super::address::Subnet;
use super::datagram;
use super::ingress::{self, Target};
use super::plan::{self, Difference};
use super::relay::Pipes;
use super::router::{Plugged, Router};
use super::visit::create;
use crate::model::wire::{BoxNetwork, NetworkPlan, Survivor};
use crate::model::{BoxName, Failure, PublishedPort, Result, Trying};
use crate::sys::linux::netns::{Namespace, Visitor};
use crate::sys::ports::{Board, Given, Listener, Prepared, Refusal, Wanted};
use crate::sys::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What is certain of a network whose making has begun.
pub struct Begun {
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    pub notes: Vec<String>,
    /// The router's namespace, then the boxes' in the order of the plan.
    pub namespaces: Vec<OwnedFd>,
}

/// What is left to do of a plan.
pub struct Unfinished {
    subnet: Subnet,
    /// The namespace of a new router.
    router: Option<Namespace>,
    come: Vec<(BoxNetwork, Namespace)>,
    go: BTreeSet<BoxName>,
    ports: Prepared,
    names: BTreeMap<BoxName, Ipv4Addr>,
    resolvers: Vec<IpAddr>,
    loopback_ports: Vec<u16>,
}

struct Attached {
    plugged: Plugged,
    namespace: Namespace,
}

/// What is there.
pub struct ProjectNetwork {
    visitor: Visitor,
    pipes: Pipes,
    router: Option<Router>,
    boxes: BTreeMap<BoxName, Attached>,
    ports: Board,
}

impl ProjectNetwork {
    /// Nothing yet.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new() -> Result<ProjectNetwork> {
        let visitor = Visitor::start().trying(|| "cannot start the thread that visits namespaces")?;
        Ok(ProjectNetwork {
            visitor,
            pipes: Pipes::default(),
            router: None,
            boxes: BTreeMap::new(),
            ports: Board::default(),
        })
    }

    /// Takes over what boxes that run have; their ports are published by the next plan. Returns what could not be
    /// taken over, for the log.
    pub async fn take_over(&mut self, survivors: &[Survivor]) -> Vec<String> {
        let mut problems = Vec::new();
        for survivor in survivors {
            if let Err(failure) = self.take_over_router(survivor).await {
                problems.push(format!("box {}: {}", survivor.name, failure.chain().join(": ")));
                continue;
            }
            if self.router.is_some() {
                break;
            }
        }
        for survivor in survivors {
            let path = PathBuf::from(format!("/proc/{}/ns/net", survivor.pid));
            match (Namespace::open(&path), self.boxes.get_mut(&survivor.name)) {
                (Ok(namespace), Some(attached)) => attached.namespace = namespace,
                (Err(error), _) => problems.push(format!("box {}: {}: {error}", survivor.name, path.display())),
                (Ok(_), None) => problems.push(format!("box {} is not at the router", survivor.name)),
            }
        }
        problems.extend(self.unplug_the_dead(survivors).await);
        problems
    }

    /// Takes the router from the first survivor; each plugged box stands with the router's namespace until its own
    /// is found.
    async fn take_over_router(&mut self, survivor: &Survivor) -> Result<()> {
        let path = PathBuf::from(format!("/proc/{}/fd/{}", survivor.pid, survivor.router_descriptor));
        let namespace = Namespace::open(&path).trying(|| format!("cannot open {}", path.display()))?;
        let (router, plugged) = Router::take_over(&self.visitor, namespace, &self.pipes).await?;
        for plugged in plugged {
            let namespace = router.namespace.clone();
            self.boxes.insert(plugged.name.clone(), Attached { plugged, namespace });
        }
        self.router = Some(router);
        Ok(())
    }

    async fn unplug_the_dead(&mut self, survivors: &[Survivor]) -> Vec<String> {
        let Some(router) = &self.router else { return Vec::new() };
        let mut problems = Vec::new();
        let alive: BTreeSet<&BoxName> = survivors.iter().map(|survivor| &survivor.name).collect();
        let mut dead = Vec::new();
        for (name, attached) in &self.boxes {
            match attached.namespace.is(&router.namespace) {
                Ok(false) if alive.contains(name) => {}
                _ => dead.push(name.clone()),
            }
        }
        for name in dead {
            if let Some(attached) = self.boxes.remove(&name) {
                router.unplug(&attached.plugged).await;
                problems.push(format!("box {name} is gone; unplugged it"));
            }
        }
        problems
    }

    /// Begins to make the network as `plan` says: what can be refused by others is done, the namespaces are there, and
    /// the kernel's long work is left to [`ProjectNetwork::finish`]. Boxes that are there with the same address are not
    /// touched.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub async fn begin(
        &self,
        plan: &NetworkPlan,
        mut given: Given,
    ) -> std::result::Result<(Begun, Unfinished), Refusal> {
        let subnet = plan::check(plan)?;
        let there = self.boxes.iter().map(|(name, attached)| (name.clone(), attached.plugged.address)).collect();
        let mut difference = plan::compare(plan, &there);
        let keeps_router = self.router.as_ref().is_some_and(|router| router.subnet == subnet);
        if !keeps_router {
            if !difference.stay.is_empty() {
                let what = "the network's addresses cannot change while its boxes are there";
                return Err(Failure::new(what).hint("`devenv down`, then `devenv up`").into());
            }
            difference.go = self.boxes.keys().cloned().collect();
        }
        let wanted: Vec<Wanted<'_>> = plan.boxes.iter().map(|b| wanted_ports(b, &difference)).collect();
        let mut prepared = self.ports.prepare(&wanted, &mut given)?;
        let notes = prepared.take_notes();
        let router = if keeps_router { None } else { Some(self.make_namespace().await?) };
        let mut come = Vec::new();
        for wanted in plan.boxes.iter().filter(|b| difference.come.contains(&b.name)) {
            come.push((wanted.clone(), self.make_namespace().await?));
        }
        let mut opened = self.ports.ports_after(&prepared);
        let of = |b: &BoxNetwork| (b.name.clone(), opened.remove(&b.name).unwrap_or_default());
        let ports = plan.boxes.iter().map(of).collect();
        let namespaces = self.namespaces(plan, router.as_ref(), &come)?;
        let names = plan.boxes.iter().map(|wanted| (wanted.name.clone(), wanted.address)).collect();
        let resolvers = plan.dns.clone();
        let rest = Unfinished {
            subnet,
            router,
            come,
            go: difference.go,
            ports: prepared,
            names,
            resolvers,
            loopback_ports: plan.loopback_ports.clone(),
        };
        Ok((Begun { ports, notes, namespaces }, rest))
    }

    async fn make_namespace(&self) -> Result<Namespace> {
        create(&self.visitor)
            .await
            .trying(|| "cannot make a network namespace")
            .map_err(|failure| failure.hint("`devenv doctor` tells what this kernel lacks"))
    }

    /// Finishes what was begun. Returns what there is to tell.
    ///
    /// # Errors
    /// The kernel refuses; what came is gone again then, and what was to go is still there.
    pub async fn finish(&mut self, rest: Unfinished) -> Result<Vec<String>> {
        let mut made = match rest.router {
            Some(namespace) => Some(Router::make(&self.visitor, namespace, rest.subnet, &self.pipes).await?),
            None => None,
        };
        let router = made.as_mut().or(self.router.as_mut()).ok_or_else(|| Failure::new("there is no router"))?;
        let come = plug_all(router, rest.come).await?;
        // From here on nothing can fail.
        let old = made.and_then(|router| self.router.replace(router));
        self.ports.retire(&rest.ports).await;
        self.remove(&rest.go, old.as_ref()).await;
        self.boxes.extend(come);
        self.serve(rest.ports);
        let Some(router) = &mut self.router else { return Ok(Vec::new()) };
        router.set_names(rest.names, &rest.resolvers);
        let mut notes = router.notes.clone();
        notes.extend(router.set_loopback_ports(&rest.loopback_ports, &self.pipes).await);
        Ok(notes)
    }

    /// Takes boxes away. With another router, theirs is `old` and ends with it.
    async fn remove(&mut self, names: &BTreeSet<BoxName>, old: Option<&Router>) {
        for name in names {
            let Some(attached) = self.boxes.remove(name) else { continue };
            if let Some(router) = old.or(self.router.as_ref()) {
                router.unplug(&attached.plugged).await;
            }
        }
    }

    /// Serves what was opened.
    fn serve(&mut self, ports: Prepared) {
        let mut board = std::mem::take(&mut self.ports);
        board.serve(ports, |name, port, listener| {
            let target = self.target(name, port)?;
            Some(match listener {
                Listener::Tcp(listener) => Task::start(ingress::serve(listener, target)),
                Listener::Udp(socket) => Task::start(datagram::serve(socket, target)),
            })
        });
        self.ports = board;
    }

    /// The port of a box, and how to get there; `None`: there is no such box.
    pub fn target(&self, name: &BoxName, port: u16) -> Option<Target> {
        let attached = self.boxes.get(name)?;
        Some(Target {
            visitor: self.visitor.clone(),
            namespace: attached.namespace.clone(),
            address: attached.plugged.address,
            port,
            pipes: self.pipes.clone(),
        })
    }

    fn namespaces(
        &self,
        plan: &NetworkPlan,
        router: Option<&Namespace>,
        come: &[(BoxNetwork, Namespace)],
    ) -> Result<Vec<OwnedFd>> {
        let router = router.or(self.router.as_ref().map(|router| &router.namespace));
        let of = |name: &BoxName| {
            let new = come.iter().find(|(wanted, _)| wanted.name == *name).map(|(_, namespace)| namespace);
            new.or_else(|| self.boxes.get(name).map(|attached| &attached.namespace))
        };
        let all = router.into_iter().chain(plan.boxes.iter().filter_map(|wanted| of(&wanted.name)));
        let all: std::io::Result<Vec<OwnedFd>> = all.map(Namespace::to_descriptor).collect();
        all.trying(|| "cannot hand over the network's namespaces")
    }
}

/// Plugs boxes in; unplugs them again on a failure.
async fn plug_all(router: &mut Router, boxes: Vec<(BoxNetwork, Namespace)>) -> Result<Vec<(BoxName, Attached)>> {
    let mut come: Vec<(BoxName, Attached)> = Vec::new();
    for (wanted, namespace) in boxes {
        match router.plug(&wanted.name, wanted.address, &namespace).await {
            Ok(plugged) => come.push((wanted.name, Attached { plugged, namespace })),
            Err(failure) => {
                for (_, attached) in &come {
                    router.unplug(&attached.plugged).await;
                }
                return Err(failure);
            }
        }
    }
    Ok(come)
}

/// The ports of a box, which stay open where the box does.
fn wanted_ports<'p>(wanted: &'p BoxNetwork, difference: &Difference) -> Wanted<'p> {
    let stays = difference.stay.contains(&wanted.name);
    Wanted { name: &wanted.name, ports: &wanted.ports, remembered: &wanted.remembered, stays }
}

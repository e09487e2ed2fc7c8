//! The whole network of one project, made as a plan says: all of it, or nothing changes.

use super::address::Subnet;
use super::bind::{Bound, Given};
use super::ingress::Target;
use super::plan::{self, Difference};
use super::publish::{Opening, Place, Publication};
use super::relay::Pipes;
use super::router::{Plugged, Router};
use super::visit::create;
use crate::model::wire::{BoxNetwork, NetworkPlan, Survivor};
use crate::model::{BoxName, Failure, PortRequest, PublishedPort, Result, Trying};
use crate::sys::linux::netns::{Namespace, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Why a plan was not carried out.
pub enum Refusal {
    /// A port that has to be at one number is in use there.
    PortTaken {
        name: BoxName,
        request: PortRequest,
    },
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Failed(failure)
    }
}

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
    openings: Openings,
    kept: BTreeSet<Place>,
    names: BTreeMap<BoxName, Ipv4Addr>,
    resolvers: Vec<IpAddr>,
}

/// Ports that are open and not served yet, each with the box it is of.
type Openings = Vec<(BoxName, Opening)>;

struct Attached {
    plugged: Plugged,
    namespace: Namespace,
    published: Vec<Publication>,
}

/// What is there.
pub struct ProjectNetwork {
    visitor: Visitor,
    pipes: Pipes,
    router: Option<Router>,
    boxes: BTreeMap<BoxName, Attached>,
}

impl ProjectNetwork {
    /// Nothing yet.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new() -> Result<ProjectNetwork> {
        let visitor = Visitor::start().trying(|| "cannot start the thread that visits namespaces")?;
        Ok(ProjectNetwork { visitor, pipes: Pipes::default(), router: None, boxes: BTreeMap::new() })
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
            self.boxes.insert(plugged.name.clone(), Attached { plugged, namespace, published: Vec::new() });
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
        let (mut openings, kept) = self.open_ports(plan, &difference, &mut given)?;
        let notes = openings.iter_mut().filter_map(|(_, opening)| opening.note.take()).collect();
        let router = if keeps_router { None } else { Some(self.make_namespace().await?) };
        let mut come = Vec::new();
        for wanted in plan.boxes.iter().filter(|b| difference.come.contains(&b.name)) {
            come.push((wanted.clone(), self.make_namespace().await?));
        }
        let ports = self.ports(plan, &openings, &kept);
        let namespaces = self.namespaces(plan, router.as_ref(), &come)?;
        let names = plan.boxes.iter().map(|wanted| (wanted.name.clone(), wanted.address)).collect();
        let resolvers = plan.dns.clone();
        let rest = Unfinished { subnet, router, come, go: difference.go, openings, kept, names, resolvers };
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
        self.remove(&rest.go, old.as_ref()).await;
        self.boxes.extend(come);
        self.serve(rest.openings, &rest.kept).await;
        let Some(router) = &self.router else { return Ok(Vec::new()) };
        router.set_names(rest.names, &rest.resolvers);
        Ok(router.notes.clone())
    }

    /// Opens what the plan asks for beyond what is kept. Those that insist on a number come first.
    fn open_ports(
        &self,
        plan: &NetworkPlan,
        difference: &Difference,
        given: &mut Given,
    ) -> std::result::Result<(Openings, BTreeSet<Place>), Refusal> {
        let (kept, mut spare) = self.divide_published(plan, difference);
        let mut wanted: Vec<(&BoxNetwork, &PortRequest)> =
            plan.boxes.iter().flat_map(|b| b.ports.iter().map(move |request| (b, request))).collect();
        wanted.retain(|(b, request)| !self.is_kept(&b.name, request, &kept));
        wanted.sort_by_key(|(_, request)| plan::exact_place(request).is_none());
        let mut openings = Vec::new();
        for (b, request) in wanted {
            openings.push((b.name.clone(), Opening::open(&b.name, request, &b.remembered, &mut spare, given)?));
        }
        Ok((openings, kept))
    }

    /// Which published ports stay as they are, and the sockets of the others.
    fn divide_published(
        &self,
        plan: &NetworkPlan,
        difference: &Difference,
    ) -> (BTreeSet<Place>, BTreeMap<Place, Bound>) {
        let (mut kept, mut spare) = (BTreeSet::new(), BTreeMap::new());
        let asked: BTreeMap<&BoxName, &[PortRequest]> = plan.boxes.iter().map(|b| (&b.name, &*b.ports)).collect();
        let insisted: BTreeSet<Place> =
            plan.boxes.iter().flat_map(|b| &b.ports).filter_map(plan::exact_place).collect();
        for (name, attached) in &self.boxes {
            let stays = difference.stay.contains(name);
            let requests = asked.get(name).copied().unwrap_or_default();
            for published in &attached.published {
                let place = published.place();
                // A number that was free to choose gives way to a box that insists on it.
                let displaced = plan::exact_place(&published.request).is_none() && insisted.contains(&place);
                if stays && requests.contains(&published.request) && !displaced {
                    kept.insert(place);
                } else {
                    spare.insert(place, published.bound());
                }
            }
        }
        (kept, spare)
    }

    fn is_kept(&self, name: &BoxName, request: &PortRequest, kept: &BTreeSet<Place>) -> bool {
        let published = self.boxes.get(name).map_or(&[][..], |attached| &attached.published);
        published.iter().any(|p| p.request == *request && kept.contains(&p.place()))
    }

    /// Takes boxes away. With another router, theirs is `old` and ends with it.
    async fn remove(&mut self, names: &BTreeSet<BoxName>, old: Option<&Router>) {
        for name in names {
            let Some(mut attached) = self.boxes.remove(name) else { continue };
            for published in attached.published.drain(..) {
                published.close().await;
            }
            if let Some(router) = old.or(self.router.as_ref()) {
                router.unplug(&attached.plugged).await;
            }
        }
    }

    /// Ends what is not kept, and serves what was opened.
    async fn serve(&mut self, openings: Openings, kept: &BTreeSet<Place>) {
        for attached in self.boxes.values_mut() {
            let closing = attached.published.extract_if(.., |published| !kept.contains(&published.place()));
            for published in closing.collect::<Vec<_>>() {
                published.close().await;
            }
        }
        for (name, opening) in openings {
            let Some(target) = self.target(&name, 0) else { continue };
            let Some(attached) = self.boxes.get_mut(&name) else { continue };
            attached.published.push(opening.serve(&target));
        }
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

    /// The ports of each box when all is done.
    fn ports(
        &self,
        plan: &NetworkPlan,
        openings: &Openings,
        kept: &BTreeSet<Place>,
    ) -> BTreeMap<BoxName, Vec<PublishedPort>> {
        let of = |name: &BoxName| {
            let published = self.boxes.get(name).map_or(&[][..], |attached| &attached.published);
            let staying = published.iter().filter(|published| kept.contains(&published.place()));
            let opened = openings.iter().filter(|(owner, _)| owner == name).map(|(_, opening)| opening.port.clone());
            let mut ports: Vec<PublishedPort> = staying.map(|published| published.port.clone()).chain(opened).collect();
            ports.sort();
            ports
        };
        plan.boxes.iter().map(|wanted| (wanted.name.clone(), of(&wanted.name))).collect()
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
            Ok(plugged) => come.push((wanted.name, Attached { plugged, namespace, published: Vec::new() })),
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

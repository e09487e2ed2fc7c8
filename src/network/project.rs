//! The whole network of one project, made as a plan says: all of it, or nothing changes.

use super::bind::{Bound, Given};
use super::ingress::Target;
use super::plan::{self, Difference};
use super::publish::{Opening, Place, Publication};
use super::relay::Pipes;
use super::router::{Plugged, Router};
use crate::model::wire::{BoxNetwork, NetworkPlan, Survivor};
use crate::model::{BoxName, Failure, PortRequest, PublishedPort, Result, Trying};
use crate::sys::linux::netns::{Namespace, Visitor};
use std::collections::{BTreeMap, BTreeSet};
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

/// The network after a plan was carried out.
pub struct Set {
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    pub notes: Vec<String>,
    /// The router's namespace, then the boxes' in the order of the plan.
    pub namespaces: Vec<OwnedFd>,
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

    /// Makes the network as `plan` says. Boxes that are there with the same address are not touched.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub async fn set(&mut self, plan: &NetworkPlan, mut given: Given) -> std::result::Result<Set, Refusal> {
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
        let (openings, kept) = self.open_ports(plan, &difference, &mut given)?;
        let mut made = if keeps_router { None } else { Some(Router::make(&self.visitor, subnet, &self.pipes).await?) };
        let come = self.plug_all(plan, &difference, made.as_mut()).await?;
        // From here on nothing can fail.
        let old = made.and_then(|router| self.router.replace(router));
        self.remove(&difference.go, old.as_ref()).await;
        self.boxes.extend(come);
        let mut notes = self.serve(openings, &kept).await;
        let router = self.router.as_ref().ok_or_else(|| Failure::new("there is no router"))?;
        notes.extend(router.notes.iter().cloned());
        router.set_names(plan.boxes.iter().map(|wanted| (wanted.name.clone(), wanted.address)).collect(), &plan.dns);
        Ok(Set { ports: self.ports(), notes, namespaces: self.namespaces(plan)? })
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

    /// Plugs the boxes that come into the new router, else the one that is there; unplugs them again on a failure.
    async fn plug_all(
        &mut self,
        plan: &NetworkPlan,
        difference: &Difference,
        made: Option<&mut Router>,
    ) -> Result<Vec<(BoxName, Attached)>> {
        let router = made.or(self.router.as_mut()).ok_or_else(|| Failure::new("there is no router"))?;
        let mut come = Vec::new();
        for wanted in plan.boxes.iter().filter(|b| difference.come.contains(&b.name)) {
            match router.plug(&wanted.name, wanted.address).await {
                Ok((plugged, namespace)) => {
                    come.push((wanted.name.clone(), Attached { plugged, namespace, published: Vec::new() }));
                }
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

    /// Ends what is not kept, and serves what was opened. Returns what there is to tell.
    async fn serve(&mut self, openings: Openings, kept: &BTreeSet<Place>) -> Vec<String> {
        for attached in self.boxes.values_mut() {
            let closing = attached.published.extract_if(.., |published| !kept.contains(&published.place()));
            for published in closing.collect::<Vec<_>>() {
                published.close().await;
            }
        }
        let mut notes = Vec::new();
        for (name, mut opening) in openings {
            let Some(target) = self.target(&name, 0) else { continue };
            let Some(attached) = self.boxes.get_mut(&name) else { continue };
            notes.extend(opening.note.take());
            attached.published.push(opening.serve(&target));
        }
        notes
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

    fn ports(&self) -> BTreeMap<BoxName, Vec<PublishedPort>> {
        let sorted = |attached: &Attached| {
            let mut ports: Vec<PublishedPort> = attached.published.iter().map(|p| p.port.clone()).collect();
            ports.sort();
            ports
        };
        self.boxes.iter().map(|(name, attached)| (name.clone(), sorted(attached))).collect()
    }

    fn namespaces(&self, plan: &NetworkPlan) -> Result<Vec<OwnedFd>> {
        let router = self.router.iter().map(|router| &router.namespace);
        let boxes = plan.boxes.iter().filter_map(|b| self.boxes.get(&b.name)).map(|attached| &attached.namespace);
        let all: std::io::Result<Vec<OwnedFd>> = router.chain(boxes).map(Namespace::to_descriptor).collect();
        all.trying(|| "cannot hand over the network's namespaces")
    }
}

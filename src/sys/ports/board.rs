//! All published ports together, changed as a whole: what stays is not touched.

use super::bind::{Bound, Given, Listener};
use super::opening::{Opening, Place, Publication, Refusal, exact_place};
use crate::model::{BoxName, PortRequest, PublishedPort};
use crate::sys::task::Task;
use std::collections::{BTreeMap, BTreeSet};

/// What one box asks for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub name: &'a BoxName,
    pub ports: &'a [PortRequest],
    /// What it was given before: preferred where a request leaves a choice.
    pub remembered: &'a [PublishedPort],
    /// It is the box that had this name before, so what is open for it still leads there.
    pub stays: bool,
}

/// A change whose sockets are there, and that can be made or dropped.
pub struct Prepared {
    openings: Vec<(BoxName, Opening)>,
    kept: BTreeSet<Place>,
}

impl Prepared {
    /// What there is to tell.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.openings.iter_mut().filter_map(|(_, opening)| opening.note.take()).collect()
    }
}

/// The published ports of every box.
#[derive(Default)]
pub struct Board(BTreeMap<BoxName, Vec<Publication>>);

impl Board {
    /// Opens what is wanted beyond what is there. Those that insist on a number come first.
    ///
    /// # Errors
    /// A number is taken or may not be used, and there is no choice.
    pub fn prepare(&self, wanted: &[Wanted<'_>], given: &mut Given) -> Result<Prepared, Refusal> {
        let (kept, mut spare) = self.divide(wanted);
        let mut missing: Vec<(&Wanted<'_>, &PortRequest)> =
            wanted.iter().flat_map(|w| w.ports.iter().map(move |request| (w, request))).collect();
        missing.retain(|(w, request)| !self.is_kept(w.name, request, &kept));
        missing.sort_by_key(|(_, request)| exact_place(request).is_none());
        let mut openings = Vec::new();
        for (w, request) in missing {
            openings.push((w.name.clone(), Opening::open(w.name, request, w.remembered, &mut spare, given)?));
        }
        Ok(Prepared { openings, kept })
    }

    /// Which published ports stay as they are, and the sockets of the others.
    fn divide(&self, wanted: &[Wanted<'_>]) -> (BTreeSet<Place>, BTreeMap<Place, Bound>) {
        let (mut kept, mut spare) = (BTreeSet::new(), BTreeMap::new());
        let asked: BTreeMap<&BoxName, &[PortRequest]> =
            wanted.iter().filter(|w| w.stays).map(|w| (w.name, w.ports)).collect();
        let insisted: BTreeSet<Place> = wanted.iter().flat_map(|w| w.ports).filter_map(exact_place).collect();
        for (name, published) in &self.0 {
            let requests = asked.get(name).copied().unwrap_or_default();
            for published in published {
                let place = published.place();
                // A number that was free to choose gives way to a box that insists on it.
                let displaced = exact_place(&published.request).is_none() && insisted.contains(&place);
                if requests.contains(&published.request) && !displaced {
                    kept.insert(place);
                } else {
                    spare.insert(place, published.bound());
                }
            }
        }
        (kept, spare)
    }

    fn is_kept(&self, name: &BoxName, request: &PortRequest, kept: &BTreeSet<Place>) -> bool {
        let published = self.0.get(name).map_or(&[][..], Vec::as_slice);
        published.iter().any(|p| p.request == *request && kept.contains(&p.place()))
    }

    /// Ends what the change does not keep.
    pub async fn retire(&mut self, change: &Prepared) {
        for published in self.0.values_mut() {
            let closing = published.extract_if(.., |published| !change.kept.contains(&published.place()));
            for published in closing.collect::<Vec<_>>() {
                published.close().await;
            }
        }
        self.0.retain(|_, published| !published.is_empty());
    }

    /// What is published when the change is made, sorted.
    pub fn ports_after(&self, change: &Prepared) -> BTreeMap<BoxName, Vec<PublishedPort>> {
        let kept = |published: &&Publication| change.kept.contains(&published.place());
        let all = self
            .0
            .iter()
            .flat_map(|(name, published)| published.iter().filter(kept).map(move |published| (name, &published.port)));
        let mut ports: BTreeMap<BoxName, Vec<PublishedPort>> = BTreeMap::new();
        for (name, port) in all.chain(change.openings.iter().map(|(name, opening)| (name, &opening.port))) {
            ports.entry(name.clone()).or_default().push(port.clone());
        }
        ports.values_mut().for_each(|ports| ports.sort());
        ports
    }

    /// Serves what the change opened; `serve` starts it for a port of a box. Returns what there is to tell, unless it
    /// was taken before.
    pub fn serve(&mut self, change: Prepared, serve: impl Fn(&BoxName, u16, Listener) -> Option<Task>) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, mut opening) in change.openings {
            notes.extend(opening.note.take());
            let publication = opening.serve(|port, listener| serve(&name, port, listener));
            self.0.entry(name).or_default().push(publication);
        }
        notes
    }

    /// What is published, sorted.
    pub fn ports(&self) -> BTreeMap<BoxName, Vec<PublishedPort>> {
        let sorted = |published: &Vec<Publication>| {
            let mut ports: Vec<PublishedPort> = published.iter().map(|p| p.port.clone()).collect();
            ports.sort();
            ports
        };
        self.0.iter().map(|(name, published)| (name.clone(), sorted(published))).collect()
    }
}

//! Getting the layers of an image into the store, several at a time, also while other processes do the same.

use crate::image::cancel::{Cancel, interrupted};
use crate::image::digest::Digest;
use crate::image::layer::decode::{BlobPieces, Failed};
use crate::image::layer::unpack::Findings;
use crate::image::layer::{Progress, Target, receive};
use crate::image::manifest::Descriptor;
use crate::image::store::Store;
use crate::image::store::staging::{Ready, Staging};
use crate::model::{Event, Events, Failure, Kind, Result, Trying};
use crate::sys::fs::{self, Lock};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Layers under way at once. More gain nothing: a layer keeps one core busy with inflating.
const PARALLEL_LAYERS: usize = 4;

/// Pause between looks at a layer that somebody else is making.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Pause between two messages of progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub diff_id: Digest,
    pub blob: Descriptor,
}

/// Where blobs come from.
pub trait Blobs: Sync {
    fn stream(&self, blob: &Descriptor) -> BlobPieces;
}

/// What goes along with a work.
#[derive(Clone, Copy)]
pub struct Company<'a> {
    pub cancel: &'a Cancel,
    pub events: &'a dyn Events,
}

impl Store {
    /// Gets all layers that are missing. Each is made under a lock of its name. Nobody waits for a lock while holding
    /// one: layers that somebody else is making are waited for after our own are in place.
    ///
    /// # Errors
    /// A layer cannot be fetched, is not what it should be, or the disk is full. What was complete by then stays if
    /// only the source failed, and goes if a layer is bad.
    pub(in crate::image) fn fill(&self, wanted: &[Wanted], blobs: &dyn Blobs, company: Company) -> Result<()> {
        let mut findings = Findings::default();
        loop {
            let missing = self.missing(wanted)?;
            let Some(first) = missing.keys().next() else { break };
            let mut ours = Vec::new();
            for (name, wanted) in &missing {
                if let Some(lock) = fs::try_lock(&self.lock_path(name))?
                    // Its maker may have finished just now.
                    && self.layer(name, wanted.diff_id.as_str())?.is_none()
                {
                    ours.push((name.clone(), *wanted, lock));
                }
            }
            if ours.is_empty() {
                self.wait_for(first, company)?;
                continue;
            }
            self.receive_all(ours, blobs, company, &mut findings)?;
        }
        tell(findings, company.events);
        Ok(())
    }

    fn missing<'w>(&self, wanted: &'w [Wanted]) -> Result<BTreeMap<String, &'w Wanted>> {
        let mut missing = BTreeMap::new();
        for layer in wanted {
            let name = self.layer_name(&layer.diff_id);
            if self.layer(&name, layer.diff_id.as_str())?.is_none() {
                missing.insert(name, layer);
            }
        }
        Ok(missing)
    }

    /// Waits until nobody is making the layer.
    fn wait_for(&self, name: &str, company: Company) -> Result<()> {
        company.events.step("waiting for another devenv that is fetching the same layer");
        while fs::try_lock(&self.lock_path(name))?.is_none() {
            company.cancel.check()?;
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn receive_all(
        &self,
        mut ours: Vec<(String, &Wanted, Lock)>,
        blobs: &dyn Blobs,
        company: Company,
        findings: &mut Findings,
    ) -> Result<()> {
        let staging = Staging::begin(self)?;
        // The largest first: it decides how long all take. The queue is taken from its end.
        ours.sort_by_key(|(_, wanted, _)| wanted.blob.size);
        let (mut queue, mut locks) = (Vec::new(), Vec::new());
        for (name, wanted, lock) in ours {
            queue.push((name, wanted));
            locks.push(lock);
        }
        let workers = queue.len().min(PARALLEL_LAYERS);
        let (queue, outcomes) = (Mutex::new(queue), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((name, wanted)) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                        let outcome = self.receive_one(name, wanted, blobs, &staging, company);
                        if outcome.is_err() {
                            company.cancel.raise();
                        }
                        let _ = outcomes.lock().map(|mut all| all.push(outcome));
                    }
                });
            }
        });
        let (mut ready, mut failed) = (Vec::new(), Vec::new());
        for outcome in outcomes.into_inner().unwrap_or_default() {
            match outcome {
                Ok((layer, found)) => {
                    ready.push(layer);
                    findings.devices_skipped += found.devices_skipped;
                    findings.owners_replaced += found.owners_replaced;
                    findings.attributes_skipped += found.attributes_skipped;
                }
                Err(failure) => failed.push(failure),
            }
        }
        if !failed.iter().any(|failed| matches!(failed, Failed::Layer(_))) {
            self.keep_layers(&ready)?;
        }
        // `locks` are held until here.
        drop(locks);
        match worst(failed) {
            Some(failure) => Err(failure),
            None => company.cancel.check(),
        }
    }

    fn receive_one(
        &self,
        name: String,
        wanted: &Wanted,
        blobs: &dyn Blobs,
        staging: &Staging,
        company: Company,
    ) -> std::result::Result<(Ready, Findings), Failed> {
        let Wanted { diff_id, blob } = wanted;
        if company.cancel.is_raised() {
            return Err(Failed::Source(interrupted()));
        }
        let folder = staging.folder().join(&name);
        let made = std::fs::DirBuilder::new().mode(0o755).create(&folder);
        made.trying(|| format!("cannot make the folder {}", folder.display())).map_err(Failed::Layer)?;
        let id = blob.digest.to_string();
        let label = blob.digest.short().to_owned();
        company.events.send(Event::TransferBegan {
            id: id.clone(),
            label: label.clone(),
            total_bytes: Some(blob.size),
        });
        let progress = Throttled { id: id.clone(), events: company.events, last: Mutex::new(Instant::now()) };
        let target = Target { folder: &folder, ids: self.options.ids, limits: &self.options.limits };
        let outcome = receive(blob, diff_id, blobs.stream(blob), target, &progress, company.cancel);
        company.events.send(Event::TransferEnded { id, label });
        let findings = outcome.map_err(|failed| match failed {
            Failed::Layer(failure) => Failed::Layer(self.explain(failure, blob)),
            source => source,
        })?;
        let identity = diff_id.to_string();
        Ok((Ready { folder, name, identity, size_bytes: findings.size_bytes }, findings))
    }

    /// Says which layer it was, and where the space is missing when the disk is full.
    fn explain(&self, failure: Failure, blob: &Descriptor) -> Failure {
        let what = format!("cannot unpack layer {}", blob.digest.short());
        if !is_disk_full(&failure) {
            return Failure::because(what, failure);
        }
        let (root, size) = (self.options.root.display(), blob.size.div_ceil(1 << 20));
        Failure::because(format!("{what}: no space left in {root}"), failure).hint(format!(
            "the layer has {size} MiB compressed and needs about three times that unpacked; free some space, for example \
             with `devenv image prune`"
        ))
    }
}

fn is_disk_full(failure: &Failure) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(failure);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(io, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The failure to report: the first that is not a consequence of another.
fn worst(failed: Vec<Failed>) -> Option<Failure> {
    let mut interruption = None;
    for failure in failed {
        let (Failed::Source(failure) | Failed::Layer(failure)) = failure;
        if failure.get_kind() != Kind::Interrupted {
            return Some(failure);
        }
        interruption = Some(failure);
    }
    interruption
}

/// One note for each thing an image wanted and did not get.
fn tell(findings: Findings, events: &dyn Events) {
    let Findings { devices_skipped, owners_replaced, attributes_skipped, .. } = findings;
    if devices_skipped > 0 {
        events.note(format!("{devices_skipped} device files of the image were left out"));
    }
    if owners_replaced > 0 {
        events
            .note(format!("{owners_replaced} files of the image belong to ids that boxes do not have; now to nobody"));
    }
    if attributes_skipped > 0 {
        events.note(format!("{attributes_skipped} extended attributes of the image could not be set"));
    }
}

/// Passes progress on, but not more often than anybody can see.
struct Throttled<'a> {
    id: String,
    events: &'a dyn Events,
    last: Mutex<Instant>,
}

impl Progress for Throttled<'_> {
    fn at(&self, bytes: u64) {
        let Ok(mut last) = self.last.lock() else { return };
        if last.elapsed() >= PROGRESS_PAUSE {
            *last = Instant::now();
            self.events.send(Event::TransferAt { id: self.id.clone(), done_bytes: bytes });
        }
    }
}

//! From a source to an image in the store.

use crate::image::cancel::Cancel;
use crate::image::config::CONFIG_LIMIT_BYTES;
use crate::image::config::{ConfigFile, Image};
use crate::image::digest::Digest;
use crate::image::layer::decode::BlobPieces;
use crate::image::local::{self, LocalImage};
use crate::image::manifest::{Descriptor, Document};
use crate::image::platform::{check_architecture, choose};
use crate::image::registry::Registry;
use crate::image::store::Store;
use crate::image::store::fill::{Blobs, Company, Wanted};
use crate::model::{Event, Events, Failure, ImageReference, ImageSource, Result, Settings, Trying};
use crate::sys::runtime;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::channel;
use tokio::sync::oneshot;

/// How often the caller is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Pieces of a blob that may wait between network and inflating; hyper makes them at most 400 KB long.
const WAITING_PIECES: usize = 8;

/// Indexes inside indexes; real ones have none.
const DEPTH_LIMIT: usize = 3;

impl Store {
    /// The image a source means: from the store, or else pulled or imported. With `refresh` a registry is asked
    /// whether a tag has moved. Blocks; `interrupted` is asked now and then from the calling thread.
    ///
    /// # Errors
    /// The image does not exist, cannot be fetched, or is not what it should be; the disk is full; interrupted.
    pub fn obtain(
        &self,
        source: &ImageSource,
        settings: &Settings,
        refresh: bool,
        interrupted: &dyn Fn() -> bool,
        events: &Arc<dyn Events>,
    ) -> Result<Image> {
        if !refresh && let Some(image) = self.find(source)? {
            return Ok(image);
        }
        let cancel = Cancel::default();
        let company = Company { cancel: &cancel, events: &**events };
        let caller = std::thread::current();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let outcome = self.fetch(source, settings, company);
                caller.unpark();
                outcome
            });
            while !work.is_finished() {
                if interrupted() {
                    cancel.raise();
                }
                std::thread::park_timeout(ASK_EVERY);
            }
            work.join().unwrap_or_else(|_| Err(Failure::new(format!("the work on {source} ended unexpectedly"))))
        })
    }

    fn fetch(&self, source: &ImageSource, settings: &Settings, company: Company) -> Result<Image> {
        let _adding = self.lock_shared()?;
        match source {
            ImageSource::Registry(reference) => self.pull(reference, settings, company),
            ImageSource::Host => Err(Failure::new("the host's own system is no image in the store")),
            source => match local::open(source, &self.options.architecture, self.options.supply.as_ref())? {
                Some(found) => self.import(source, &found, company),
                None => Err(Failure::new(format!("{source} is no image in files"))),
            },
        }
    }

    fn import(&self, source: &ImageSource, found: &LocalImage, company: Company) -> Result<Image> {
        if let Some(image) = self.load(&found.digest, None)? {
            return Ok(image);
        }
        company.events.step(format!("importing {source}"));
        let wanted = pair(&found.config, &found.layers, &self.options.architecture)?;
        self.fill(&wanted, found, company).trying(|| format!("cannot import {source}"))?;
        self.add_image(&found.digest, &found.config_json, None)
    }

    fn pull(&self, reference: &ImageReference, settings: &Settings, company: Company) -> Result<Image> {
        let registry =
            Arc::new(Registry::new(reference, settings, &self.options.patience, self.options.supply.as_ref())?);
        company.events.step(format!("pulling {reference}"));
        let network = Network::start()?;
        let name = reference.digest.as_ref().or(reference.tag.as_ref());
        let name = name.ok_or_else(|| Failure::new(format!("{reference} has neither tag nor digest")))?;
        let (digest, document) = network.run(company.cancel, self.find_manifest(&registry, name))?;
        if let Some(image) = self.load(&digest, Some(reference))? {
            self.name(&image, reference)?;
            return Ok(image);
        }
        let Document::Manifest { config, layers } = document else {
            return Err(Failure::new(format!("the manifest of {reference} leads to indexes without end")));
        };
        let config_json = network.run(company.cancel, registry.blob(&config, CONFIG_LIMIT_BYTES))?;
        let file = ConfigFile::parse(&config_json).trying(|| format!("cannot use the image {reference}"))?;
        let wanted =
            pair(&file, &layers, &self.options.architecture).trying(|| format!("cannot use the image {reference}"))?;
        let blobs = Remote { registry, handle: network.handle.clone() };
        self.fill(&wanted, &blobs, company).trying(|| format!("cannot pull {reference}"))?;
        let image = self.add_image(&digest, &config_json, Some(reference))?;
        company.events.send(Event::Done { text: format!("pulled {reference}") });
        Ok(image)
    }

    /// The manifest for this computer, through indexes, and its digest.
    async fn find_manifest(&self, registry: &Registry, name: &str) -> Result<(Digest, Document)> {
        let (body, mut digest) = registry.manifest(name).await?;
        let mut document = Document::parse(&body)?;
        for _ in 0..DEPTH_LIMIT {
            let Document::Index { manifests } = &document else { break };
            let next = choose(manifests, &self.options.architecture)?.digest.clone();
            let (body, _) = registry.manifest(next.as_str()).await?;
            (document, digest) = (Document::parse(&body)?, next);
        }
        Ok((digest, document))
    }
}

/// Layers with the names of what is in them.
///
/// # Errors
/// Manifest and config speak of different images, or of another computer.
fn pair(config: &ConfigFile, layers: &[Descriptor], architecture: &str) -> Result<Vec<Wanted>> {
    check_architecture(config.architecture.as_deref(), architecture)?;
    if config.diff_ids.len() != layers.len() {
        let (named, there) = (config.diff_ids.len(), layers.len());
        return Err(Failure::new(format!("its config names {named} layers but its manifest {there}")));
    }
    let both = config.diff_ids.iter().zip(layers);
    Ok(both.map(|(diff_id, blob)| Wanted { diff_id: diff_id.clone(), blob: blob.clone() }).collect())
}

impl Blobs for LocalImage {
    fn stream(&self, blob: &Descriptor) -> BlobPieces {
        LocalImage::stream(self, blob)
    }
}

/// Blobs of a registry, fetched on the network's thread.
struct Remote {
    registry: Arc<Registry>,
    handle: Handle,
}

impl Blobs for Remote {
    fn stream(&self, blob: &Descriptor) -> BlobPieces {
        let (sender, receiver) = channel(WAITING_PIECES);
        let (registry, blob) = (Arc::clone(&self.registry), blob.clone());
        self.handle.spawn(async move {
            tokio::select! {
                () = registry.stream(&blob, &sender) => {}
                () = sender.closed() => {}
            }
        });
        receiver
    }
}

/// A thread that drives all connections; it and they end when this is dropped.
struct Network {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Network {
    fn start() -> Result<Network> {
        let runtime = runtime::current_thread().trying(|| "cannot set up the network")?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let drive = move || {
            // An error means that the sender is gone: stop as well.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().spawn(drive).trying(|| "cannot start a thread")?;
        Ok(Network { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for `work`, which runs on this thread while the other one drives its connections.
    fn run<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.handle.block_on(cancel.unless(work))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

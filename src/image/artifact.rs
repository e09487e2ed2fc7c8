//! A file that is kept in a registry as an artifact: a manifest with one layer, which is the file (OCI image-spec,
//! "Guidelines for Artifact Usage"). Works on every operating system; nothing is unpacked.

use super::digest::Hasher;
use super::manifest::{Descriptor, Document};
use super::registry::Registry;
use super::registry::patience::Patience;
use crate::model::{Event, Events, Failure, ImageReference, Kind, Result, Settings, Trying};
use crate::sys::runtime;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use tokio::sync::mpsc::channel;

/// Pieces that may wait between network and disk; hyper makes them at most 400 KB long.
const WAITING_PIECES: usize = 8;

/// Fetches the one file of the artifact `reference`, which names a digest, into `into`, checked and in one step: a
/// half-fetched or damaged file is never seen there.
///
/// # Errors
/// `reference` names no digest; it does not exist or is not such an artifact; it cannot be fetched or is not what its
/// digest says; the disk is full.
pub fn fetch(reference: &ImageReference, settings: &Settings, events: &dyn Events, into: &Path) -> Result<()> {
    let runtime = runtime::current_thread()?;
    runtime.block_on(download(reference, settings, events, into)).trying(|| format!("cannot fetch {reference}"))
}

async fn download(reference: &ImageReference, settings: &Settings, events: &dyn Events, into: &Path) -> Result<()> {
    let Some(digest) = &reference.digest else {
        return Err(Failure::new("it names no digest: what it is could change at any time").kind(Kind::Usage));
    };
    let registry = Registry::new(reference, settings, &Patience::default(), None)?;
    let (manifest, _) = registry.manifest(digest).await?;
    let blob = only_layer(&manifest)?;
    let name = into.file_name().unwrap_or_default().to_string_lossy();
    let temporary = into.with_file_name(format!(".{name}.{}.part", std::process::id()));
    events.send(Event::TransferBegan {
        id: blob.digest.to_string(),
        label: name.clone().into_owned(),
        total_bytes: Some(blob.size),
    });
    let written = write(&registry, &blob, events, &temporary).await;
    let written = written
        .and_then(|()| fs::rename(&temporary, into).trying(|| format!("cannot put {} in its place", into.display())));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    events.send(Event::TransferEnded { id: blob.digest.to_string(), label: name.into_owned() });
    written
}

fn only_layer(manifest: &[u8]) -> Result<Descriptor> {
    match Document::parse(manifest)? {
        Document::Manifest { mut layers, .. } if layers.len() == 1 => Ok(layers.remove(0)),
        _ => Err(Failure::new("it is no artifact of one file")),
    }
}

async fn write(registry: &Registry, blob: &Descriptor, events: &dyn Events, path: &Path) -> Result<()> {
    let failing = || format!("cannot write {}", path.display());
    let mut file = File::create(path).trying(failing)?;
    let mut hasher = Hasher::default();
    let (sender, mut pieces) = channel::<Result<bytes::Bytes>>(WAITING_PIECES);
    let mut done_bytes = 0;
    let take = async {
        while let Some(piece) = pieces.recv().await {
            let piece = piece?;
            hasher.update(&piece);
            file.write_all(&piece).trying(failing)?;
            done_bytes += piece.len() as u64;
            events.send(Event::TransferAt { id: blob.digest.to_string(), done_bytes });
        }
        file.sync_all().trying(failing)
    };
    let give = async move {
        registry.stream(blob, &sender).await;
        drop(sender);
    };
    let ((), taken) = tokio::join!(give, take);
    taken?;
    let found = hasher.finish();
    if found != blob.digest {
        return Err(Failure::new(format!("it should be {} but is {found}", blob.digest))
            .hint("the registry, a mirror or the connection has damaged it; try again"));
    }
    Ok(())
}

//! Images in files: OCI layouts and what `docker save` writes.

mod archive;
mod bytes;
mod docker;
mod files;
mod oci;

use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::layer::decode::BlobPieces;
use crate::image::manifest::Descriptor;
use crate::model::supply::Supply;
use crate::model::{Failure, ImageSource, Result, Trying};
use ::bytes::Bytes;
use archive::TarFiles;
use files::{DiskFiles, Files, SuppliedFiles};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::{Sender, channel};

/// An image in files, found and understood; its layers not read yet.
pub struct LocalImage {
    pub digest: Digest,
    pub config_json: Vec<u8>,
    pub config: ConfigFile,
    pub layers: Vec<Descriptor>,
    /// Where each layer is, by its descriptor's digest.
    paths: HashMap<Digest, String>,
    files: Box<dyn Files>,
}

/// Pieces of a blob that may wait.
const WAITING_PIECES: usize = 4;

/// Bytes read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Finds the image a source means, in files of this computer or of a caller who has them; `None` for sources that are no
/// files.
///
/// # Errors
/// The files are missing or damaged, or mean several images.
pub fn open(source: &ImageSource, architecture: &str, supply: Option<&Arc<dyn Supply>>) -> Result<Option<LocalImage>> {
    let folder = |path: &Path| match supply {
        Some(supply) => {
            Ok(Box::new(SuppliedFiles { supply: supply.clone(), folder: path.to_owned() }) as Box<dyn Files>)
        }
        None => DiskFiles::open(path).map(|files| Box::new(files) as Box<dyn Files>),
    };
    let archive = |path: &Path| match supply {
        Some(supply) => TarFiles::supplied(supply.clone(), path),
        None => TarFiles::open(path),
    };
    let image = match source {
        ImageSource::Registry(_) | ImageSource::Host => return Ok(None),
        ImageSource::OciFolder(path, tag) => {
            folder(path).and_then(|files| oci::open(files, tag.as_deref(), architecture))
        }
        ImageSource::OciArchive(path, tag) => {
            archive(path).and_then(|files| oci::open(Box::new(files), tag.as_deref(), architecture))
        }
        ImageSource::DockerArchive(path, tag) => {
            archive(path).and_then(|files| docker::open(Box::new(files), tag.as_deref()))
        }
    };
    image.trying(|| format!("cannot use the image {source}")).map(Some)
}

impl LocalImage {
    /// Sends a layer's blob piece by piece, from a thread of its own.
    pub fn stream(&self, blob: &Descriptor) -> BlobPieces {
        let (sender, receiver) = channel(WAITING_PIECES);
        let path = self.paths.get(&blob.digest).cloned().unwrap_or_default();
        match self.files.open_file(&path) {
            Ok((reader, _)) => {
                let pieces = sender.clone();
                let reading = std::thread::Builder::new().spawn(move || send_all(reader, &path, &pieces));
                if let Err(failure) = reading.trying(|| "cannot start a thread") {
                    drop(sender.try_send(Err(failure)));
                }
            }
            // Room for it is there: the channel is new.
            Err(failure) => drop(sender.try_send(Err(failure))),
        }
        receiver
    }
}

fn send_all(mut reader: Box<dyn Read + Send>, path: &str, pieces: &Sender<Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let message = match reader.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                piece.truncate(length);
                Ok(piece.into())
            }
            Err(error) => Err(Failure::because(format!("cannot read {path}"), error)),
        };
        // Nobody listens any more, or this was the last word.
        let last = message.is_err();
        if pieces.blocking_send(message).is_err() || last {
            return;
        }
    }
}

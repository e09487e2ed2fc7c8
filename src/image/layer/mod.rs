//! One layer: from a stream of compressed bytes to a folder.

pub mod chunks;
pub mod decode;
pub mod entries;
mod header;
pub mod limits;
mod pax;
pub mod place;
mod sparse;
pub mod unpack;

use crate::image::cancel::Cancel;
use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;
use crate::image::store::LayerIds;
use crate::model::{Failure, Result};
use chunks::ChunkReader;
use decode::{BlobPieces, Decoded, Failed, decode};
use limits::Limits;
use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use unpack::{Findings, unpack};

/// Pieces of tar that may wait between inflating and unpacking.
const WAITING_PIECES: usize = 8;

/// Hears how many bytes of the blob have arrived.
pub trait Progress: Sync {
    fn at(&self, bytes: u64);
}

/// Where a layer goes, and by which rules.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Empty so far.
    pub folder: &'a Path,
    pub ids: LayerIds,
    pub limits: &'a Limits,
}

/// Unpacks a blob into a folder, in two threads: one inflates, one makes files.
///
/// # Errors
/// The blob or the tar in it is not what was promised, is damaged, hostile or too large; the disk is full.
pub fn receive(
    blob: &Descriptor,
    diff_id: &Digest,
    pieces: BlobPieces,
    target: Target,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> std::result::Result<Findings, Failed> {
    let (sender, receiver) = sync_channel(WAITING_PIECES);
    let limit_bytes = target.limits.unpacked_bytes(blob.size);
    let (decoded, unpacked) = std::thread::scope(|scope| {
        let decoder = scope.spawn(move || decode(blob, pieces, limit_bytes, sender, progress, cancel));
        let unpacker = scope.spawn(move || unpack_all(ChunkReader::new(receiver), target));
        (decoder.join(), unpacker.join())
    });
    let died = |_| Failed::Layer(Failure::new("a thread that unpacks the layer ended unexpectedly"));
    match decoded.map_err(died)?? {
        // Said by the config, whose own digest fits: the image's fault, not the connection's.
        Decoded::Whole { diff_id: found } if found != *diff_id => {
            Err(Failed::Layer(Failure::new(format!("the layer unpacks to {found} but the image says {diff_id}"))))
        }
        Decoded::Whole { .. } | Decoded::Unwanted => unpacked.map_err(died)?.map_err(Failed::Layer),
    }
}

/// Unpacks, and reads to the end of the stream what follows the end of the tar, so that all of it is hashed.
fn unpack_all(mut input: ChunkReader, target: Target) -> Result<Findings> {
    let findings = unpack(&mut input, target)?;
    loop {
        match input.fill_buf() {
            Ok([]) | Err(_) => return Ok(findings),
            Ok(rest) => {
                let length = rest.len();
                input.consume(length);
            }
        }
    }
}

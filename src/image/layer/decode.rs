//! From a blob's bytes to the tar in it: counted, hashed, inflated, hashed again.

use crate::image::cancel::{Cancel, interrupted};
use crate::image::digest::{Digest, Hasher};
use crate::image::layer::Progress;
use crate::image::manifest::Descriptor;
use crate::model::{Failure, Result};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, Read};
use std::sync::mpsc::SyncSender;
use tokio::sync::mpsc::Receiver;

/// Pieces of a blob as they arrive; a failure ends them.
pub type BlobPieces = Receiver<Result<Bytes>>;

/// Bytes of tar handed on at once.
const PIECE_BYTES: usize = 256 << 10;

/// How decoding ended.
pub enum Decoded {
    /// All of the tar went to the other side, the blob was as promised.
    Whole { diff_id: Digest },
    /// The other side stopped reading, for reasons it knows.
    Unwanted,
}

/// Whose fault it is that a layer could not be received.
#[derive(Debug)]
pub enum Failed {
    /// Whoever sends it failed, or the work was stopped: what is there already is good.
    Source(Failure),
    /// The layer itself is not what it should be, or cannot be kept.
    Layer(Failure),
}

/// Sends the tar in a blob to `tar`.
///
/// # Errors
/// The blob has another digest or size than promised, does not arrive whole, cannot be inflated, or holds more than
/// `limit_bytes` of tar.
pub fn decode(
    blob: &Descriptor,
    pieces: BlobPieces,
    limit_bytes: u64,
    tar: SyncSender<Vec<u8>>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> std::result::Result<Decoded, Failed> {
    let mut source = Source {
        pieces,
        piece: Bytes::new(),
        hasher: Hasher::default(),
        read: 0,
        blob,
        failed: None,
        progress,
        cancel,
    };
    let outcome = inflate(&mut source, limit_bytes, tar);
    // The reason a source has for ending is better than what the decoder makes of a cut stream.
    if let Some(failed) = source.failed.take() {
        return Err(failed);
    }
    match outcome {
        Ok(Inflated::Unwanted) => Ok(Decoded::Unwanted),
        Ok(Inflated::Whole { diff_id }) => source.check().map(|()| Decoded::Whole { diff_id }),
        Err(Broken::Limit(failure)) => Err(Failed::Layer(failure)),
        // Garbage is most often a blob that is not what its digest says: that is the cause to name.
        Err(Broken::Format(error)) => {
            source.check()?;
            Err(Failed::Layer(Failure::because("cannot decompress the layer", error)))
        }
    }
}

enum Inflated {
    Whole { diff_id: Digest },
    Unwanted,
}

enum Broken {
    Limit(Failure),
    Format(io::Error),
}

fn inflate(source: &mut Source, limit_bytes: u64, tar: SyncSender<Vec<u8>>) -> std::result::Result<Inflated, Broken> {
    let start = source.peek().map_err(Broken::Format)?;
    // By content (RFC 1952, RFC 8878): media types are often wrong, and docker archives have none.
    let mut reader: Box<dyn Read + '_> = match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(source)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(source).map_err(Broken::Format)?)
        }
        _ => Box::new(source),
    };
    let (mut hasher, mut total) = (Hasher::default(), 0_u64);
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let length = fill(&mut reader, &mut piece).map_err(Broken::Format)?;
        if length == 0 {
            return Ok(Inflated::Whole { diff_id: hasher.finish() });
        }
        total += length as u64;
        if total > limit_bytes {
            return Err(Broken::Limit(
                Failure::new(format!(
                    "the layer unpacks to more than {limit_bytes} bytes, far beyond what its size suggests"
                ))
                .hint("it looks like a decompression bomb; nothing of it was kept"),
            ));
        }
        hasher.update(&piece[..length]);
        piece.truncate(length);
        if tar.send(piece).is_err() {
            return Ok(Inflated::Unwanted);
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The blob as it arrives, hashed on the way.
struct Source<'a> {
    pieces: BlobPieces,
    piece: Bytes,
    hasher: Hasher,
    read: u64,
    blob: &'a Descriptor,
    failed: Option<Failed>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl Source<'_> {
    /// The first bytes, at least four unless the blob is shorter.
    fn peek(&mut self) -> io::Result<[u8; 4]> {
        while self.piece.len() < 4 {
            let before = self.piece.clone();
            self.piece = Bytes::new();
            if !self.receive()? {
                self.piece = before;
                break;
            }
            if !before.is_empty() {
                self.piece = [before.as_ref(), self.piece.as_ref()].concat().into();
            }
        }
        let mut start = [0; 4];
        let length = self.piece.len().min(4);
        start[..length].copy_from_slice(&self.piece[..length]);
        Ok(start)
    }

    /// Takes the next piece; false at the end.
    fn receive(&mut self) -> io::Result<bool> {
        let stop = |source: &mut Self, failed: Failed| {
            source.failed = Some(failed);
            Err(io::Error::other("the layer does not arrive"))
        };
        if self.cancel.is_raised() {
            return stop(self, Failed::Source(interrupted()));
        }
        match self.pieces.blocking_recv() {
            None if self.cancel.is_raised() => stop(self, Failed::Source(interrupted())),
            None => Ok(false),
            Some(Err(failure)) => stop(self, Failed::Source(failure)),
            Some(Ok(piece)) => {
                self.hasher.update(&piece);
                self.read += piece.len() as u64;
                if self.read > self.blob.size {
                    let (digest, size) = (&self.blob.digest, self.blob.size);
                    let failure = Failure::new(format!("{digest} is longer than the {size} bytes promised"));
                    return stop(self, Failed::Layer(failure));
                }
                self.progress.at(self.read);
                self.piece = piece;
                Ok(true)
            }
        }
    }

    /// Reads what is left and compares with what was promised.
    fn check(mut self) -> std::result::Result<(), Failed> {
        loop {
            match self.receive() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let unsaid = || Failed::Source(Failure::because("cannot read the layer", error));
                    return Err(self.failed.take().unwrap_or_else(unsaid));
                }
            }
        }
        let found = self.hasher.finish();
        if found != self.blob.digest && !self.blob.unnamed {
            let failure = Failure::new(format!("the layer should be {} but is {found}", self.blob.digest))
                .hint("the registry, a mirror or the connection has damaged it; try again");
            return Err(Failed::Layer(failure));
        }
        Ok(())
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() && self.receive()? {}
        Ok(&self.piece)
    }

    fn consume(&mut self, bytes: usize) {
        self.piece = self.piece.slice(bytes..);
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

//! Messages on a stream: four bytes of length (little-endian), one that says how it is packed, then postcard.

use crate::model::{Failure, Result, Trying};
use serde::{Serialize, de::DeserializeOwned};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest message, unpacked. Senders keep far below it (`BATCH_BYTES` of the controller).
pub const LONGEST_MESSAGE_BYTES: usize = 4 << 20;
/// Shorter messages are not worth packing.
const WORTH_PACKING_BYTES: usize = 512;
/// The quickest of zstd.
const PACKING_LEVEL: i32 = 1;

/// A stream that takes less than this a second is slower than packing, by far.
const SLOW_BYTES: f64 = (8 << 20) as f64;
/// What was sent counts half after so much more was.
const REMEMBERED_BYTES: f64 = (1 << 20) as f64;
/// The pace of less than this says nothing: buffers on the way take it at once, or a moment's pause is in it.
const MEASURED_BYTES: f64 = (256 << 10) as f64;

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// A message as it travels.
///
/// # Errors
/// It is longer than a message may be.
pub fn encode<M: Serialize>(message: &M, pack: bool) -> Result<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0; 5]).trying(|| "cannot write a message of file sync")?;
    let length = frame.len() - 5;
    if length > LONGEST_MESSAGE_BYTES {
        return Err(Failure::new(format!("a message of file sync has {length} bytes, which is too long")));
    }
    if pack && length >= WORTH_PACKING_BYTES {
        let packed =
            zstd::bulk::compress(&frame[5..], PACKING_LEVEL).trying(|| "cannot pack a message of file sync")?;
        if packed.len() < length {
            frame.truncate(5);
            frame.extend_from_slice(&packed);
            frame[4] = PACKED;
        }
    }
    let length = u32::try_from(frame.len() - 5).trying(|| "cannot write a message of file sync")?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Reads what stands after the length.
///
/// # Errors
/// It is no message of this kind, or one that unpacks to more than a message may have.
pub fn decode<M: DeserializeOwned>(packing: u8, body: &[u8]) -> Result<M> {
    let broken = || "the other side of file sync sent something that is no message";
    match packing {
        PLAIN => postcard::from_bytes(body).trying(broken),
        PACKED => {
            let plain = zstd::bulk::decompress(body, LONGEST_MESSAGE_BYTES).trying(broken)?;
            postcard::from_bytes(&plain).trying(broken)
        }
        _ => Err(Failure::new(broken())),
    }
}

/// Reads one message; `None` at the end of the stream between two.
///
/// # Errors
/// The stream breaks, or carries something else.
pub async fn receive<M: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<M>> {
    let mut head = [0; 5];
    let cut = || "the connection of file sync broke";
    match stream.read(&mut head).await.trying(cut)? {
        0 => return Ok(None),
        read => stream.read_exact(&mut head[read..]).await.trying(cut)?,
    };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length > LONGEST_MESSAGE_BYTES {
        return Err(Failure::new("the other side of file sync announced a message that is too long"));
    }
    // Memory grows with what arrives, not with what was announced.
    let mut body = Vec::with_capacity(length.min(1 << 18));
    let read = (&mut *stream).take(length as u64).read_to_end(&mut body).await.trying(cut)?;
    if read < length {
        return Err(Failure::new(cut()));
    }
    decode(head[4], &body).map(Some)
}

/// How fast a stream takes what is written to it, of late.
#[derive(Debug, Default)]
pub struct Pace {
    bytes: f64,
    seconds: f64,
}

impl Pace {
    /// Sends one message, packed if the stream has been so slow that it pays.
    ///
    /// # Errors
    /// The stream breaks.
    pub async fn send<M: Serialize>(&mut self, stream: &mut (impl AsyncWrite + Unpin), message: &M) -> Result<()> {
        let frame = encode(message, self.is_slow())?;
        let began = Instant::now();
        write(stream, &frame).await?;
        self.note(frame.len(), began.elapsed());
        Ok(())
    }

    fn is_slow(&self) -> bool {
        self.bytes > MEASURED_BYTES && self.bytes < self.seconds * SLOW_BYTES
    }

    fn note(&mut self, bytes: usize, taken: Duration) {
        let kept = (-(bytes as f64) / REMEMBERED_BYTES).exp2();
        self.bytes = self.bytes * kept + bytes as f64;
        self.seconds = self.seconds * kept + taken.as_secs_f64();
    }
}

/// Sends one message.
///
/// # Errors
/// The stream breaks.
pub async fn send<M: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &M, pack: bool) -> Result<()> {
    write(stream, &encode(message, pack)?).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Result<()> {
    let sent = async {
        stream.write_all(frame).await?;
        stream.flush().await
    };
    sent.await.trying(|| "the connection of file sync broke")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::message::{Ask, Body, Order, Tell};
    use crate::sync::path::Blob;
    use proptest::prelude::*;

    fn order(bytes: usize) -> Ask {
        let body = Body::Inline(Blob(vec![7; bytes]));
        Ask::Do(vec![Order { ticket: 1, path: "a/b".into(), old: None, new: None, body }])
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent_packed_or_not() {
        for pack in [false, true] {
            let (mut one, mut two) = tokio::io::duplex(100);
            let sent = order(20_000);
            let (done, got) = tokio::join!(send(&mut one, &sent, pack), receive::<Ask>(&mut two));
            done.unwrap();
            assert_eq!(got.unwrap(), Some(sent));
            drop(one);
            assert_eq!(receive::<Ask>(&mut two).await.unwrap(), None);
        }
        assert!(encode(&order(1 << 14), true).unwrap().len() < 200);
        assert!(encode(&order(5 << 20), true).is_err());
    }

    #[tokio::test]
    async fn long_and_cut_messages_are_errors() {
        for bytes in [&[255, 255, 255, 255, 0][..], &[9, 0, 0], &[9, 0, 0, 0, 0, 1, 2], &[1, 0, 0, 0, 9, 1]] {
            assert!(receive::<Tell>(&mut &bytes[..]).await.is_err(), "{bytes:?}");
        }
        let bomb = zstd::bulk::compress(&vec![0; LONGEST_MESSAGE_BYTES + 1], 1).unwrap();
        assert!(decode::<Tell>(PACKED, &bomb).is_err());
    }

    #[test]
    fn only_what_a_slow_stream_carries_is_packed() {
        let message = 64 << 10;
        let paces = [
            ("loopback", 300_000, 1000, false),
            ("local network", 60_000, 1000, false),
            ("far away", 5_000, 1000, true),
            ("a first message", 1, 1, false),
        ];
        for (what, kib_a_second, messages, slow) in paces {
            let mut pace = Pace::default();
            (0..messages).for_each(|_| pace.note(message, Duration::from_secs_f64(64.0 / f64::from(kib_a_second))));
            assert_eq!(pace.is_slow(), slow, "{what}");
            // Another pace is noticed soon.
            (0..100).for_each(|_| pace.note(message, Duration::from_millis(if slow { 0 } else { 100 })));
            assert_eq!(pace.is_slow(), !slow, "{what}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_or_a_message_and_nothing_worse(bytes in prop::collection::vec(any::<u8>(), 0..400), packing in 0u8..3) {
            let _ = decode::<Tell>(packing, &bytes);
            let _ = decode::<Ask>(packing, &bytes);
        }

        #[test]
        fn a_message_with_a_flipped_bit_is_no_panic(at in 0usize..300, bit in 0u8..8) {
            let mut frame = encode(&order(200), false).unwrap();
            let at = at % (frame.len() - 5);
            frame[5 + at] ^= 1 << bit;
            let _ = decode::<Ask>(PLAIN, &frame[5..]);
        }
    }
}

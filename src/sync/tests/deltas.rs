//! Large files of which a part changed.

use super::noise;
use super::world::{World, flush};
use crate::sync::message::{Ask, Hello, Tell};
use crate::sync::wire::{receive, send};
use crate::sync::{Opener, Session};
use crate::sys::stream::Stream;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MIB: usize = 1 << 20;

/// What somebody in between makes of what the far side tells.
type Twist = fn(Tell) -> Tell;

fn as_it_is(tell: Tell) -> Tell {
    tell
}

/// What passed.
#[derive(Default)]
struct Passed {
    /// Content.
    bytes: AtomicU64,
    /// The far side was asked so often of what a file consists.
    cuts: AtomicU64,
}

/// A connection on which somebody counts what travels, and changes what is told.
fn through(open: Opener, twist: Twist, carried: Arc<Passed>) -> Opener {
    Arc::new(move || {
        let (open, carried) = (open.clone(), carried.clone());
        Box::pin(async move {
            let far = open().await?;
            let (near, ours) = tokio::io::duplex(1 << 16);
            tokio::spawn(relay(ours, far, twist, carried));
            Ok(Box::new(near) as Stream)
        })
    })
}

async fn relay(near: tokio::io::DuplexStream, far: Stream, twist: Twist, carried: Arc<Passed>) -> Option<()> {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (tokio::io::split(near), tokio::io::split(far));
    send(&mut to_far, &receive::<Hello>(&mut from_near).await.ok()??, false).await.ok()?;
    send(&mut to_near, &receive::<Hello>(&mut from_far).await.ok()??, false).await.ok()?;
    let count = |length: usize| carried.bytes.fetch_add(length as u64, Ordering::Relaxed);
    let asks = async {
        while let Ok(Some(ask)) = receive::<Ask>(&mut from_near).await {
            if let Ask::Piece { data, .. } = &ask {
                count(data.0.len());
            }
            if let Ask::Cut { .. } = &ask {
                carried.cuts.fetch_add(1, Ordering::Relaxed);
            }
            send(&mut to_far, &ask, false).await.ok()?;
        }
        Some(())
    };
    let tells = async {
        while let Ok(Some(tell)) = receive::<Tell>(&mut from_far).await {
            if let Tell::Piece { data: Some(data), .. } = &tell {
                count(data.0.len());
            }
            send(&mut to_near, &twist(tell), false).await.ok()?;
        }
        Some(())
    };
    tokio::select! { end = asks => end, end = tells => end }
}

struct Carried {
    world: World,
    carried: Arc<Passed>,
    session: Session,
}

impl Carried {
    /// A session with one large file on both sides.
    async fn start(content: &[u8], twist: Twist) -> Carried {
        let world = World::new();
        fs::write(world.here("large"), content).unwrap();
        let carried = Arc::new(Passed::default());
        let session = world.start_by(through(world.opener(), twist, carried.clone()));
        flush(&session).await;
        Carried { world, carried, session }
    }

    /// How much content travels until both sides have this.
    async fn change(&self, content: &[u8], there: bool) -> usize {
        let before = self.carried.bytes.load(Ordering::Relaxed);
        let path = if there { self.world.there("large") } else { self.world.here("large") };
        // At once: what is half written is a version too.
        fs::write(self.world.state("new"), content).unwrap();
        fs::rename(self.world.state("new"), path).unwrap();
        flush(&self.session).await;
        self.world.assert_equal();
        assert!(fs::read(self.world.here("large")).unwrap() == content);
        (self.carried.bytes.load(Ordering::Relaxed) - before) as usize
    }
}

#[tokio::test]
async fn of_a_large_file_only_what_is_new_travels() {
    let mut content = noise(1, 12 * MIB);
    let both = Carried::start(&content, as_it_is).await;
    for there in [false, true] {
        content.extend(noise(2 + u8::from(there), 100_000));
        assert!(both.change(&content, there).await < MIB, "appended");
        content.splice(0..0, noise(4 + u8::from(there), 77_777));
        assert!(both.change(&content, there).await < MIB, "prepended");
        let at = 5 * MIB;
        content[at..at + 50_000].copy_from_slice(&noise(6 + u8::from(there), 50_000));
        assert!(both.change(&content, there).await < MIB, "changed in the middle");
        content.drain(3 * MIB..3 * MIB + 500_000);
        assert!(both.change(&content, there).await < MIB, "shrunk");
        content.rotate_left(6 * MIB);
        assert!(both.change(&content, there).await < MIB, "moved within");
    }
    let new = noise(9, 9 * MIB);
    assert_eq!(both.change(&new, false).await, new.len(), "nothing in common");
    both.world.stop(both.session).await;
}

#[tokio::test]
async fn what_the_other_side_got_it_is_not_asked_to_cut() {
    let mut content = noise(1, 12 * MIB);
    let both = Carried::start(&content, as_it_is).await;
    for wanted in [1, 1, 1] {
        content.extend(noise(2, 1000));
        assert!(both.change(&content, false).await < MIB);
        assert_eq!(both.carried.cuts.load(Ordering::Relaxed), wanted);
    }
    // A version that it made itself is another matter.
    content.extend(noise(3, 1000));
    assert!(both.change(&content, true).await < MIB);
    assert_eq!(both.carried.cuts.load(Ordering::Relaxed), 2);
    both.world.stop(both.session).await;
}

#[tokio::test]
async fn wrong_lists_of_chunks_lead_to_the_whole_file() {
    let twists: [(&str, Twist); 3] = [
        ("chunks where they are not", |mut tell| {
            if let Tell::Chunks { chunks: Some(chunks), .. } = &mut tell {
                let mut long: Vec<_> = chunks.iter_mut().filter(|chunk| chunk.length_bytes == 256 << 10).collect();
                let hashes: Vec<_> = long.iter().rev().map(|chunk| chunk.hash).collect();
                long.iter_mut().zip(hashes).for_each(|(chunk, hash)| chunk.hash = hash);
            }
            tell
        }),
        ("more chunks than bytes", |mut tell| {
            if let Tell::Chunks { chunks: Some(chunks), .. } = &mut tell {
                chunks.iter_mut().for_each(|chunk| chunk.length_bytes *= 2);
            }
            tell
        }),
        ("no chunks", |tell| match tell {
            Tell::Chunks { ticket, .. } => Tell::Chunks { ticket, chunks: None, last: true },
            tell => tell,
        }),
    ];
    for (what, twist) in twists {
        // Of one byte are chunks of one length, which can be told to stand in each other's places.
        let mut content = [vec![0; 2 * MIB], vec![1; 2 * MIB], noise(1, 4 * MIB)].concat();
        let both = Carried::start(&content, twist).await;
        for there in [false, true] {
            content.truncate(8 * MIB);
            content.extend(noise(2 + u8::from(there), 1000));
            let carried = both.change(&content, there).await;
            assert!(carried >= content.len(), "{what}: {carried}");
        }
        both.world.stop(both.session).await;
    }
}

//! What is small does not wait for what is large.

use super::noise;
use super::world::{World, flush, until, write};
use crate::sync::Opener;
use crate::sync::chunks::average_bytes;
use crate::sync::life::Life;
use crate::sync::message::{Ask, Body, Hello, Order, Outcome, ReadFile, Tell};
use crate::sync::path::{Blob, TreePath};
use crate::sync::reading::SLICE_BYTES;
use crate::sync::replica::Replica;
use crate::sync::tree::{Change, File, Leaf, Now};
use crate::sync::wire::{receive, send};
use crate::sync::worker::{Work, Worker};
use crate::sys::stream::Stream;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

const MIB: usize = 1 << 20;

/// The thread of one replica, which waits with each answer until the one before was heard.
struct Alone {
    world: World,
    asks: std::sync::mpsc::Sender<Work>,
    told: tokio::sync::mpsc::Receiver<Tell>,
    thread: std::thread::JoinHandle<()>,
}

impl Alone {
    /// One that has told its tree.
    fn start() -> Alone {
        let world = World::new();
        let (asks, work) = std::sync::mpsc::channel();
        let (tells, told) = tokio::sync::mpsc::channel(1);
        let replica = Replica::open(&world.here(""), &world.state("here"), &[], None).unwrap();
        let life = Life::begin(&world.state("here")).unwrap();
        let worker = Worker::new(replica, life, tells, asks.clone());
        let mut alone = Alone { world, asks, told, thread: std::thread::spawn(move || worker.run(work)) };
        alone.ask(Ask::Scan { known: [0; 32] });
        alone.hear_until(|tell| matches!(tell, Tell::Scanned { .. }));
        alone
    }

    fn ask(&self, ask: Ask) {
        self.asks.send(Work::Ask(ask)).unwrap();
    }

    /// Makes it wait for somebody who hears: what is asked then it finds all at once.
    fn hold(&mut self) {
        (0..3).for_each(|_| self.ask(Ask::Read(Vec::new())));
        self.hear_until(|tell| matches!(tell, Tell::Contents(_)));
    }

    fn hear_until(&mut self, is_last: impl Fn(&Tell) -> bool) -> Vec<Tell> {
        let mut all = Vec::new();
        while !all.last().is_some_and(&is_last) {
            all.push(self.told.blocking_recv().expect("it works until it is told to end"));
        }
        all
    }

    fn end(mut self) -> World {
        self.asks.send(Work::End).unwrap();
        while self.told.blocking_recv().is_some() {}
        self.thread.join().unwrap();
        self.world
    }
}

/// Where the first of what `is` says was told.
fn place(all: &[Tell], what: &str, is: impl Fn(&Tell) -> bool) -> usize {
    all.iter().position(is).unwrap_or_else(|| panic!("nobody told {what}"))
}

fn is_told(path: &'static str) -> impl Fn(&Tell) -> bool {
    move |tell| matches!(tell, Tell::Changes(changes) if changes.iter().any(|change| change.path == path.into()))
}

fn small_file() -> File {
    File { hash: *blake3::hash(b"small").as_bytes(), size_bytes: 5, mode: 0o644, modified_nanoseconds: 0 }
}

#[test]
fn while_a_large_file_is_read_small_ones_are_told_and_asks_are_answered() {
    let mut alone = Alone::start();
    let made = alone.world.state("made");
    fs::create_dir(&made).unwrap();
    fs::File::create(made.join("a-large")).unwrap().set_len(64 * MIB as u64).unwrap();
    write(&made.join("small"), "small");
    alone.hold();
    // Both come at once, and the large one is the first by name.
    fs::rename(made, alone.world.here("folder")).unwrap();
    alone.ask(Ask::Barrier { ticket: 1 });
    let File { hash, size_bytes, .. } = small_file();
    alone.ask(Ask::Read(vec![ReadFile { ticket: 2, path: "folder/small".into(), hash, size_bytes }]));
    let all = alone.hear_until(|tell| *tell == Tell::Barrier { ticket: 1 });
    alone.end();
    let small = place(&all, "the small one", is_told("folder/small"));
    let content = place(&all, "its content", |tell| matches!(tell, Tell::Contents(all) if !all.is_empty()));
    let large = place(&all, "the large one", is_told("folder/a-large"));
    assert!(small < content && content < large, "{small} {content} {large}");
}

#[test]
fn what_a_file_that_was_read_consists_of_is_known() {
    let mut alone = Alone::start();
    let mut content = noise(1, 12 * MIB);
    fs::write(alone.world.here("large"), &content).unwrap();
    alone.ask(Ask::Barrier { ticket: 1 });
    let first = alone.hear_until(|tell| *tell == Tell::Barrier { ticket: 1 });
    assert!(!first.iter().any(|tell| matches!(tell, Tell::Reading { .. })), "the other side has nothing to cut");
    content[6 * MIB] ^= 1;
    fs::write(alone.world.state("new"), &content).unwrap();
    fs::rename(alone.world.state("new"), alone.world.here("large")).unwrap();
    alone.ask(Ask::Barrier { ticket: 2 });
    let all = alone.hear_until(|tell| *tell == Tell::Barrier { ticket: 2 });
    let (path, size_bytes) = (TreePath::from("large"), content.len() as u64);
    let reading = Tell::Reading { path: path.clone(), size_bytes };
    assert!(place(&all, "that it is read", |tell| *tell == reading) < place(&all, "it", is_told("large")));
    let average_bytes = average_bytes(size_bytes);
    let mut cut = |average_bytes: u32| {
        alone.ask(Ask::Cut { ticket: 3, path: path.clone(), size_bytes, average_bytes });
        let told = alone.hear_until(|tell| matches!(tell, Tell::Chunks { last: true, .. }));
        let chunks = |tell: &Tell| match tell {
            Tell::Chunks { chunks: Some(chunks), .. } => chunks.clone(),
            other => panic!("{other:?}"),
        };
        (told.len(), told.iter().flat_map(chunks).collect::<Vec<_>>())
    };
    let (messages, known) = cut(average_bytes);
    assert_eq!(messages, 1, "it is told at once");
    // It is read anew for another average, which becomes the same.
    let (messages, read) = cut(average_bytes - 1);
    assert!(messages > 1 && known == read);
    alone.end();
}

#[test]
fn what_went_with_a_large_file_is_told_before_something_is_put_there() {
    let mut alone = Alone::start();
    write(&alone.world.here("b/c"), "c");
    alone.ask(Ask::Barrier { ticket: 1 });
    alone.hear_until(|tell| *tell == Tell::Barrier { ticket: 1 });
    let large = alone.world.state("large");
    fs::File::create(&large).unwrap().set_len(64 * MIB as u64).unwrap();
    alone.hold();
    // It may have become the large one, so that this is told together with that.
    fs::rename(alone.world.here("b"), alone.world.state("gone")).unwrap();
    fs::rename(large, alone.world.here("large")).unwrap();
    alone.ask(Ask::Barrier { ticket: 2 });
    let (new, body) = (Some(Leaf::File(small_file())), Body::Inline(Blob(b"small".to_vec())));
    alone.ask(Ask::Do(vec![Order { ticket: 3, path: "b".into(), old: None, new, body }]));
    let all = alone.hear_until(|tell| *tell == Tell::Barrier { ticket: 2 });
    alone.end();
    let is_gone = |change: &Change| change.path == "b".into() && change.now == Now::Gone;
    let gone = |tell: &Tell| matches!(tell, Tell::Changes(changes) if changes.iter().any(is_gone));
    let is_done = |tell: &Tell| *tell == Tell::Outcomes(vec![(3, Outcome::Done)]);
    let done = place(&all, "what was done", is_done);
    assert!(place(&all, "what went", gone) < done);
    assert!(!all[done..].iter().any(gone), "{all:?}");
}

#[test]
fn while_a_large_file_is_written_small_ones_are() {
    let mut alone = Alone::start();
    let content = noise(1, 8 * SLICE_BYTES);
    let (hash, size_bytes) = (*blake3::hash(&content).as_bytes(), content.len() as u64);
    alone.ask(Ask::Begin { ticket: 1, hash, size_bytes, own: None });
    alone.hear_until(|tell| *tell == Tell::Begun { ticket: 1, have: 0 });
    alone.hold();
    let pieces = content.chunks(SLICE_BYTES / 4);
    let count = pieces.len();
    pieces.for_each(|piece| alone.ask(Ask::Piece { ticket: 1, data: Blob(piece.to_vec()) }));
    let (new, body) = (Some(Leaf::File(small_file())), Body::Inline(Blob(b"small".to_vec())));
    alone.ask(Ask::Do(vec![Order { ticket: 2, path: "small".into(), old: None, new, body }]));
    let is_done = |tell: &Tell| *tell == Tell::Outcomes(vec![(2, Outcome::Done)]);
    let before = alone.hear_until(is_done);
    assert!(!before.contains(&Tell::Written { ticket: 1 }), "it waited: {before:?}");
    (0..count).for_each(|_| drop(alone.hear_until(|tell| *tell == Tell::Written { ticket: 1 })));
    let file = File { hash, size_bytes, ..small_file() };
    let (path, new) = (TreePath::from("large"), Some(Leaf::File(file)));
    alone.ask(Ask::Do(vec![Order { ticket: 1, path, old: None, new, body: Body::Staged }]));
    alone.hear_until(|tell| *tell == Tell::Outcomes(vec![(1, Outcome::Done)]));
    let world = alone.end();
    assert!(fs::read(world.here("large")).unwrap() == content);
    assert_eq!(fs::read(world.here("small")).unwrap(), b"small");
}

#[test]
fn what_is_there_from_before_is_taken_up_beside_other_work() {
    let mut alone = Alone::start();
    let content = noise(1, 8 * SLICE_BYTES);
    let (hash, size_bytes) = (*blake3::hash(&content).as_bytes(), content.len() as u64);
    let begin = |ticket| Ask::Begin { ticket, hash, size_bytes, own: None };
    alone.ask(begin(1));
    alone.hear_until(|tell| *tell == Tell::Begun { ticket: 1, have: 0 });
    let half = content.len() / 2;
    for data in content[..half].chunks(MIB) {
        alone.ask(Ask::Piece { ticket: 1, data: Blob(data.to_vec()) });
        alone.hear_until(|tell| *tell == Tell::Written { ticket: 1 });
    }
    alone.ask(Ask::Abandon { ticket: 1, keep: true });
    alone.hold();
    [begin(2), Ask::Read(Vec::new())].into_iter().for_each(|ask| alone.ask(ask));
    // The two that held it, and the one behind the question.
    (0..3).for_each(|_| assert_eq!(alone.hear_until(|_| true), [Tell::Contents(Vec::new())]));
    let begun = alone.hear_until(|_| true);
    assert_eq!(begun, [Tell::Begun { ticket: 2, have: half as u64 }]);
    alone.end();
}

/// What passes on a connection.
#[derive(Default)]
struct Line {
    /// Content of large files that travelled.
    bytes: AtomicU64,
    /// The line breaks once, when so many have.
    breaks_at: AtomicU64,
}

/// A connection on which each piece of a large file needs a permit, and that breaks when it is told to.
fn through(open: Opener, line: Arc<Line>, permits: Arc<Semaphore>) -> Opener {
    Arc::new(move || {
        let (open, line, permits) = (open.clone(), line.clone(), permits.clone());
        Box::pin(async move {
            let far = open().await?;
            let (near, ours) = tokio::io::duplex(1 << 16);
            tokio::spawn(relay(ours, far, line, permits));
            Ok(Box::new(near) as Stream)
        })
    })
}

async fn relay(near: tokio::io::DuplexStream, far: Stream, line: Arc<Line>, permits: Arc<Semaphore>) -> Option<()> {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (tokio::io::split(near), tokio::io::split(far));
    send(&mut to_far, &receive::<Hello>(&mut from_near).await.ok()??, false).await.ok()?;
    send(&mut to_near, &receive::<Hello>(&mut from_far).await.ok()??, false).await.ok()?;
    let asks = async {
        while let Ok(Some(ask)) = receive::<Ask>(&mut from_near).await {
            if let Ask::Piece { data, .. } = &ask {
                permits.acquire().await.ok()?.forget();
                let bytes = line.bytes.fetch_add(data.0.len() as u64, Ordering::Relaxed) + data.0.len() as u64;
                let breaks_at = line.breaks_at.load(Ordering::Relaxed);
                if breaks_at > 0 && bytes >= breaks_at {
                    line.breaks_at.store(0, Ordering::Relaxed);
                    return None;
                }
            }
            send(&mut to_far, &ask, false).await.ok()?;
        }
        Some(())
    };
    let tells = async { tokio::io::copy(&mut from_far, &mut to_near).await.ok().map(drop) };
    tokio::select! { end = asks => end, end = tells => end }
}

#[tokio::test]
async fn a_small_edit_arrives_while_a_large_file_is_on_its_way() {
    let world = World::new();
    let (line, permits) = (Arc::new(Line::default()), Arc::new(Semaphore::new(0)));
    let session = world.start_by(through(world.opener(), line.clone(), permits.clone()));
    flush(&session).await;
    fs::write(world.here("a-large"), noise(1, 32 * MIB)).unwrap();
    permits.add_permits(1);
    until("the first piece", || line.bytes.load(Ordering::Relaxed) > 0).await;
    // More pieces are in the pipe, or wait for it.
    for (edit, seen) in [(world.here("small"), world.there("small")), (world.there("back"), world.here("back"))] {
        write(&edit, "small");
        let mut given = 0;
        while !seen.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            permits.add_permits(1);
            given += 1;
            assert!(given < 60, "it waits for the large one");
        }
        assert!(!world.there("a-large").exists());
    }
    permits.add_permits(1000);
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

#[tokio::test]
async fn what_is_new_in_a_large_file_goes_on_where_the_line_broke() {
    let world = World::new();
    let (line, permits) = (Arc::new(Line::default()), Arc::new(Semaphore::new(1 << 20)));
    let mut content = noise(1, 24 * MIB);
    fs::write(world.here("large"), &content).unwrap();
    let session = world.start_by(through(world.opener(), line.clone(), permits));
    flush(&session).await;
    let before = line.bytes.load(Ordering::Relaxed);
    assert_eq!(before, content.len() as u64);
    // Half of it is new, and the line breaks when half of that has passed.
    let new = 12 * MIB;
    content[6 * MIB..6 * MIB + new].copy_from_slice(&noise(2, new));
    line.breaks_at.store(before + new as u64 / 2, Ordering::Relaxed);
    fs::write(world.state("new"), &content).unwrap();
    fs::rename(world.state("new"), world.here("large")).unwrap();
    flush(&session).await;
    assert_eq!(line.breaks_at.load(Ordering::Relaxed), 0, "the line broke");
    assert!(fs::read(world.there("large")).unwrap() == content);
    let sent = line.bytes.load(Ordering::Relaxed) - before;
    // Chunks at both ends of what is new, and what was on the way when it broke.
    let most = (new + 3 * MIB) as u64;
    assert!((new as u64..most).contains(&sent), "{sent} bytes for {new} new ones");
    world.stop(session).await;
}

#[tokio::test]
async fn a_large_file_of_another_name_does_not_travel() {
    let world = World::new();
    let (line, permits) = (Arc::new(Line::default()), Arc::new(Semaphore::new(1 << 20)));
    let content = noise(1, 12 * MIB);
    fs::create_dir(world.here("a")).unwrap();
    fs::write(world.here("a/large"), &content).unwrap();
    let session = world.start_by(through(world.opener(), line.clone(), permits));
    flush(&session).await;
    for (from, to) in [("a", "b"), ("b/large", "a-large"), ("a-large", "b/z")] {
        fs::rename(world.here(from), world.here(to)).unwrap();
        flush(&session).await;
        world.assert_equal();
    }
    assert_eq!(line.bytes.load(Ordering::Relaxed), content.len() as u64);
    world.stop(session).await;
}

#[tokio::test]
async fn a_large_log_arrives_as_far_as_it_was_saved_while_it_grows() {
    let world = World::new();
    fs::write(world.here("log"), noise(1, 3 * MIB)).unwrap();
    let session = world.start();
    let (path, stop) = (world.here("log"), Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut log = fs::File::options().append(true).open(path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                log.write_all(&[b'x'; 512]).unwrap();
                std::thread::yield_now();
            }
        }
    });
    for _ in 0..3 {
        let saved = fs::metadata(world.here("log")).unwrap().len() as usize;
        flush(&session).await;
        let (here, there) = (fs::read(world.here("log")).unwrap(), fs::read(world.there("log")).unwrap());
        assert!(there.len() >= saved && here.starts_with(&there), "{} of {saved}", there.len());
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

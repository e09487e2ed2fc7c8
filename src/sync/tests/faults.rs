//! What goes wrong under a session while it goes on.

use super::world::{PATIENCE, World, flush, until, write};
use crate::model::sync::SyncState;
use crate::sync::Opener;
use crate::sync::message::{Body, Hello, Order, Outcome};
use crate::sync::path::Blob;
use crate::sync::replica::Replica;
use crate::sync::tree::{File, Leaf, Node};
use crate::sync::wire::encode;
use crate::sys::folder::Folder;
use crate::sys::stream::Stream;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Makes `depth` folders with the longest of names, one in the other; paths of them are longer than the system takes.
fn make_deep(root: &Path, depth: usize) {
    let name = [b'n'; 255];
    let mut at = Folder::at(root).unwrap();
    for _ in 0..depth {
        let _ = at.make_folder(&name, 0o777);
        at = at.enter(&name).unwrap();
    }
}

#[tokio::test]
async fn what_is_refused_each_time_is_listed_and_holds_up_no_flush() {
    let world = World::new();
    fs::create_dir(world.here("c")).unwrap();
    make_deep(&world.here("c"), 15);
    let session = world.start();
    flush(&session).await;
    // A path of more than 4,095 bytes is not seen, but keeps the folders around it.
    make_deep(&world.there("c"), 16);
    // Before, so that the folder is at no moment empty, which would look like an accident.
    write(&world.here("other"), "goes over");
    fs::remove_dir_all(world.here("c")).unwrap();
    fs::write(world.here("c"), "a file now").unwrap();
    flush(&session).await;
    let status = session.status().await;
    assert!(status.skipped.iter().any(|skipped| skipped.path == "c"), "{status:?}");
    assert_eq!(fs::read_to_string(world.there("other")).unwrap(), "goes over");
    assert_eq!(fs::read_to_string(world.here("c")).unwrap(), "a file now");
    assert!(world.there("c").is_dir());
    fs::remove_dir_all(world.there("c")).unwrap();
    session.resume();
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

#[tokio::test]
async fn a_pause_outlives_its_session() {
    let world = World::new();
    write(&world.here("x"), "1");
    world.once().await;
    let session = world.start();
    session.pause();
    world.stop(session).await;
    write(&world.here("x"), "2");
    let session = world.start();
    assert_eq!(session.status().await.state, SyncState::Paused);
    assert!(session.flush().await.is_err());
    session.resume();
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
    assert_eq!(world.once().await.state, SyncState::Watching);
}

#[test]
fn a_folder_that_became_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("root/inner/x"), "mine");
    write(&at("outside/x"), "not to be touched");
    let mut replica = Replica::open(&at("root"), &at("state"), &[], None).unwrap();
    replica.scan(&|_| {}).unwrap();
    let old = replica.tree().get(&"inner/x".into()).and_then(Node::leaf);
    fs::rename(at("root/inner"), at("elsewhere")).unwrap();
    std::os::unix::fs::symlink(at("outside"), at("root/inner")).unwrap();
    let content = b"evil";
    let new = Leaf::File(File {
        hash: *blake3::hash(content).as_bytes(),
        size_bytes: 4,
        mode: 0o644,
        modified_nanoseconds: 0,
    });
    let orders = [
        ("inner/x", old.clone(), Some(new.clone()), Body::Inline(Blob(content.to_vec()))),
        ("inner/new", None, Some(new), Body::Inline(Blob(content.to_vec()))),
        ("inner/folder", None, Some(Leaf::Folder), Body::None),
        ("inner/x", old, None, Body::None),
    ];
    for (path, old, new, body) in orders {
        replica.forget_near();
        let outcome = replica.obey(&Order { ticket: 1, path: path.into(), old, new, body }, None);
        assert_eq!(outcome, Outcome::Refused, "{path}");
    }
    let left: Vec<_> = fs::read_dir(at("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x"]);
    assert_eq!(fs::read_to_string(at("outside/x")).unwrap(), "not to be touched");
}

#[tokio::test]
async fn times_of_other_centuries_keep_nothing_from_arriving() {
    let world = World::new();
    let day = std::time::Duration::from_secs(86_400);
    let times = [std::time::UNIX_EPOCH + day, std::time::SystemTime::now() + 40_000 * day];
    let session = world.start();
    for (round, content) in ["first", "other", "third"].into_iter().enumerate() {
        for (number, time) in times.iter().enumerate() {
            let path = world.here(&format!("{number}"));
            write(&path, content);
            // The time goes back and forth, and the size stays.
            let time = if round == 1 { std::time::SystemTime::now() } else { *time };
            fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }
        flush(&session).await;
        world.assert_equal();
        assert_eq!(fs::read_to_string(world.there("1")).unwrap(), content);
    }
    world.stop(session).await;
}

#[tokio::test]
async fn a_peer_of_another_version_or_of_another_kind_is_told_of() {
    let world = World::new();
    let hello = Hello { protocol: 99, ignore: Vec::new(), replica: [0; 16], life: [0; 16], rules: Default::default() };
    let peers =
        [(encode(&hello, false).unwrap(), "speaks file sync 99"), (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "too long")];
    for (bytes, told) in peers {
        let open: Opener = Arc::new(move || {
            let bytes = bytes.clone();
            Box::pin(async move {
                let (one, mut two) = tokio::io::duplex(1 << 16);
                two.write_all(&bytes).await.unwrap();
                // Open until the other side has enough of it.
                tokio::spawn(async move { two.read_to_end(&mut Vec::new()).await });
                Ok(Box::new(one) as Stream)
            })
        });
        let session = world.start_by(open);
        let end = std::time::Instant::now() + PATIENCE;
        while !session.status().await.notes.iter().any(|note| note.contains(told)) {
            assert!(std::time::Instant::now() < end, "{told}: {:?}", session.status().await);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        session.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_is_written_all_the_time_arrives_when_it_rests() {
    let world = World::new();
    write(&world.here("log"), "");
    let session = world.start();
    let (path, stop) = (world.here("log"), Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut log = fs::File::options().append(true).open(path).unwrap();
            while !stop.load(Ordering::Relaxed) {
                log.write_all(&[b'x'; 4096]).unwrap();
            }
        }
    });
    write(&world.here("beside"), "goes over meanwhile");
    until("what is beside it", || world.there("beside").exists()).await;
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

#[test]
fn a_runtime_that_ends_with_a_session_in_it_does_not_wait_for_ever() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let session = runtime.block_on(async {
            let session = world.start();
            flush(&session).await;
            session
        });
        // As when a test fails: nobody stops the session.
        drop(runtime);
        drop(session);
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap();
}

//! New folders that come whole.

use super::world::{PATIENCE, World, flush, tree, write};
use crate::sync::message::{Body, Order, Outcome};
use crate::sync::path::Blob;
use crate::sync::replica::Replica;
use crate::sync::tree::{File, Leaf};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

fn order(path: &str, new: Leaf, body: Body) -> Order {
    Order { ticket: 1, path: path.into(), old: None, new: Some(new), body }
}

fn folder(path: &str) -> Order {
    order(path, Leaf::Folder, Body::None)
}

/// A file of this content; `said` is what it is announced as.
fn file(path: &str, content: &str, said: &str) -> Order {
    let hash = *blake3::hash(said.as_bytes()).as_bytes();
    let size_bytes = content.len() as u64;
    let leaf = Leaf::File(File { hash, size_bytes, mode: 0o640, modified_nanoseconds: 1_000_000_000 });
    order(path, leaf, Body::Inline(Blob(content.into())))
}

fn open(at: &Path) -> Replica {
    fs::create_dir_all(at.join("root")).unwrap();
    Replica::open(&at.join("root"), &at.join("state"), &[], None).unwrap()
}

fn staged(at: &Path) -> Vec<String> {
    tree(&at.join("state/stage")).into_keys().collect()
}

#[test]
fn a_folder_and_what_is_in_it_are_made_together() {
    let at = tempfile::tempdir().unwrap();
    let mut replica = open(at.path());
    let orders = [
        folder("a"),
        folder("a/b"),
        file("a/b/x", "x", "x"),
        file("a/bad", "not what was announced", "other"),
        order("a/link", Leaf::Link(Blob(b"b/x".to_vec())), Body::None),
        file("a/y", "yy", "yy"),
        folder("b"),
    ];
    let outcomes = replica.put_together(&orders).unwrap();
    let mut wanted = vec![Outcome::Done; 6];
    wanted[3] = Outcome::Refused;
    assert_eq!(outcomes, wanted);
    let made = tree(&at.path().join("root"));
    let shown: Vec<_> = made.iter().map(|(path, what)| format!("{path}: {what}")).collect();
    assert_eq!(shown, ["a: folder", "a/b: folder", "a/b/x: 640 x", "a/link: -> b/x", "a/y: 640 yy"]);
    let modified = fs::metadata(at.path().join("root/a/y")).unwrap().modified().unwrap();
    assert_eq!(modified, std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
    let before = replica.scan(&|_| {}).unwrap();
    assert_eq!(&before, replica.tree(), "all of it is known");
    assert_eq!(staged(at.path()), [""; 0]);
}

#[test]
fn what_cannot_come_whole_comes_file_by_file() {
    let at = tempfile::tempdir().unwrap();
    let mut replica = open(at.path());
    let root = at.path().join("root");
    write(&root.join("taken/mine"), "mine");
    let shared = root.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, PermissionsExt::from_mode(0o2755)).unwrap();
    replica.scan(&|_| {}).unwrap();
    // Nothing is known of this one yet.
    write(&root.join("new/mine"), "mine");
    for name in ["taken", "new", "shared/a", "missing/a"] {
        let orders = [folder(name), file(&format!("{name}/x"), "x", "x")];
        assert_eq!(replica.put_together(&orders), None, "{name}");
    }
    for orders in [&[folder("alone"), file("x", "x", "x")][..], &[file("x", "x", "x")], &[]] {
        assert_eq!(replica.put_together(orders), None);
    }
    assert_eq!(staged(at.path()), [""; 0]);
    let left: Vec<_> = tree(&root).into_keys().collect();
    assert_eq!(left, ["new", "new/mine", "shared", "taken", "taken/mine"]);
}

#[test]
fn what_a_crash_left_of_a_folder_is_gone_with_the_next_start() {
    let at = tempfile::tempdir().unwrap();
    drop(open(at.path()));
    for name in ["7/inner/x", "7/y", "8", "0a.part"] {
        write(&at.path().join("state/stage").join(name), "half");
    }
    drop(open(at.path()));
    assert_eq!(staged(at.path()), ["0a.part"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_new_folder_half_full() {
    let world = World::new();
    let files = 40;
    for folder in 0..20 {
        for file in 0..files {
            write(&world.here(&format!("d/{folder:02}/{file}")), &format!("{folder} {file}"));
        }
    }
    let session = world.start();
    let last = world.there("d/19");
    let seen = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "it does not come");
            if let Ok(entries) = fs::read_dir(&last) {
                return entries.count();
            }
        }
    });
    assert_eq!(seen.await.unwrap(), files);
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

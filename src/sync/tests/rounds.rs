//! One round after another between two real folders.

use super::world::{World, flush, until, write};
use crate::model::sync::{SyncChoice, SyncDirection, SyncState};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn two_trees_become_one_in_both_directions() {
    let world = World::new();
    write(&world.here("a/b/one"), "1");
    write(&world.here("run"), "#!");
    fs::set_permissions(world.here("run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::create_dir(world.here("empty")).unwrap();
    symlink("a/b", world.here("link")).unwrap();
    symlink("/etc/passwd", world.here("out")).unwrap();
    write(&world.here("large"), &"x".repeat(3 << 20));
    write(&world.here("node_modules/x"), "apart");
    write(&world.there("c/two"), "2");
    write(&world.there("c/large"), &"y".repeat(1 << 20));
    let old = SystemTime::now() - Duration::from_secs(9_000);
    fs::File::options().write(true).open(world.here("a/b/one")).unwrap().set_modified(old).unwrap();
    let status = world.once().await;
    assert_eq!((status.state, status.conflict_count, status.backlog), (SyncState::Watching, 0, 0));
    assert!(!world.there("node_modules").exists());
    fs::remove_dir_all(world.here("node_modules")).unwrap();
    world.assert_equal();
    assert_eq!(fs::metadata(world.there("a/b/one")).unwrap().modified().unwrap(), old, "times are kept");
    assert_eq!(
        world.trees().0.keys().collect::<Vec<_>>(),
        ["a", "a/b", "a/b/one", "c", "c/large", "c/two", "empty", "large", "link", "out", "run"]
    );

    write(&world.here("a/b/one"), "11");
    fs::remove_file(world.there("c/two")).unwrap();
    fs::remove_file(world.here("link")).unwrap();
    fs::remove_dir(world.there("empty")).unwrap();
    fs::rename(world.there("a"), world.there("d")).unwrap();
    fs::set_permissions(world.there("run"), fs::Permissions::from_mode(0o640)).unwrap();
    write(&world.there("out2/x"), "file in folder");
    world.once().await;
    world.assert_equal();
    // `a/b/one` was moved there and edited here: the edit survives beside the moved file.
    assert_eq!(fs::read_to_string(world.there("a/b/one")).unwrap(), "11");
    assert_eq!(fs::read_to_string(world.here("d/b/one")).unwrap(), "1");
    assert!(!world.here("c/two").exists() && !world.there("link").exists() && !world.here("empty").exists());
}

#[tokio::test]
async fn a_copy_that_is_moved_away_and_removed_deletes_nothing_and_is_made_anew() {
    let world = World::new();
    let names = ["one", "two"];
    names.iter().for_each(|name| write(&world.here(name), name));
    let copy = |name: &str| world.there("trees/root").join(name);
    let session = world.start_by(world.opener_of(copy(""), world.there("trees/state")));
    flush(&session).await;
    let going = world.there("going");
    fs::rename(world.there("trees"), &going).unwrap();
    // As a removal that takes its time: what is gone so far was looked at by now.
    fs::remove_file(going.join("root/one")).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::remove_dir_all(&going).unwrap();
    until("the copy is made anew", || names.iter().all(|name| copy(name).exists())).await;
    flush(&session).await;
    names.iter().for_each(|name| assert_eq!(fs::read_to_string(world.here(name)).unwrap(), *name));
    world.stop(session).await;
}

#[tokio::test]
async fn conflicts_are_listed_left_alone_and_ended_by_choice() {
    let world = World::new();
    for name in ["both", "ours", "theirs", "same", "free"] {
        write(&world.here(name), "0");
    }
    world.once().await;
    for name in ["both", "ours", "theirs"] {
        write(&world.here(name), "here");
        write(&world.there(name), "there");
    }
    write(&world.here("same"), "both");
    write(&world.there("same"), "both");
    write(&world.there("free"), "2");
    write(&world.here("deleted"), "");
    let session = world.start();
    flush(&session).await;
    let status = session.status().await;
    let names: Vec<_> = status.conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
    assert_eq!(names, ["both", "ours", "theirs"]);
    assert_eq!(fs::read_to_string(world.here("ours")).unwrap(), "here");
    assert_eq!(fs::read_to_string(world.there("ours")).unwrap(), "there");
    assert_eq!(fs::read_to_string(world.here("free")).unwrap(), "2");
    assert_eq!(session.resolve(SyncChoice::Ours, "ours").await.unwrap(), 1);
    assert_eq!(session.resolve(SyncChoice::Both, "both").await.unwrap(), 1);
    assert_eq!(session.resolve(SyncChoice::Theirs, "*").await.unwrap(), 1);
    flush(&session).await;
    assert_eq!(session.status().await.conflict_count, 0);
    world.assert_equal();
    assert_eq!(fs::read_to_string(world.there("ours")).unwrap(), "here");
    assert_eq!(fs::read_to_string(world.here("theirs")).unwrap(), "there");
    assert_eq!(fs::read_to_string(world.there("both")).unwrap(), "here");
    assert_eq!(fs::read_to_string(world.here("both.theirs-1")).unwrap(), "there");
    world.stop(session).await;
}

#[tokio::test]
async fn an_edit_is_seen_by_the_next_flush_and_after_a_cut() {
    let world = World::new();
    write(&world.here("x"), "0");
    let session = world.start();
    flush(&session).await;
    write(&world.here("x"), "1");
    flush(&session).await;
    assert_eq!(fs::read_to_string(world.there("x")).unwrap(), "1");
    world.cut();
    write(&world.there("y"), "2");
    flush(&session).await;
    write(&world.there("y"), "3");
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

#[tokio::test]
async fn mass_deletion_and_an_emptied_root_wait_for_consent() {
    let world = World::new();
    for number in 0..120 {
        write(&world.here(&format!("f{number}")), "x");
    }
    world.once().await;
    for number in 0..100 {
        fs::remove_file(world.there(&format!("f{number}"))).unwrap();
    }
    let session = world.start();
    assert!(session.flush().await.is_err());
    assert!(matches!(session.status().await.state, SyncState::Waiting { .. }));
    assert_eq!(world.trees().0.len(), 120);
    session.resume();
    flush(&session).await;
    world.assert_equal();
    assert_eq!(world.trees().0.len(), 20);
    world.stop(session).await;
    fs::remove_dir_all(world.there("")).unwrap();
    let session = world.start();
    assert!(session.flush().await.is_err());
    assert_eq!(world.trees().0.len(), 20);
    world.stop(session).await;
}

#[tokio::test]
async fn a_new_copy_there_deletes_nothing_here() {
    let world = World::new();
    write(&world.here("x"), "0");
    world.once().await;
    fs::remove_dir_all(world.there("")).unwrap();
    fs::remove_dir_all(world.state("there")).unwrap();
    fs::create_dir(world.there("")).unwrap();
    world.once().await;
    world.assert_equal();
    assert!(world.here("x").exists());
}

#[tokio::test]
async fn one_way_brings_nothing_back() {
    let mut world = World::new();
    world.mode = SyncDirection::OneWay;
    write(&world.here("x"), "0");
    write(&world.there("own/y"), "0");
    world.once().await;
    write(&world.there("x"), "there");
    world.once().await;
    assert_eq!(fs::read_to_string(world.there("x")).unwrap(), "0");
    assert!(world.there("own/y").exists() && !world.here("own").exists());
    world.mode = SyncDirection::Mirror;
    world.once().await;
    assert!(!world.there("own").exists());
}

#[tokio::test]
async fn edits_arrive_by_themselves_also_in_new_folders() {
    let world = World::new();
    write(&world.here("a/x"), "0");
    let session = world.start();
    flush(&session).await;
    write(&world.here("a/x"), "1");
    until("an edit", || fs::read_to_string(world.there("a/x")).is_ok_and(|text| text == "1")).await;
    for number in 0..30 {
        write(&world.there(&format!("n{number}/b/c/d")), "new");
    }
    until("new folders", || (0..30).all(|number| world.here(&format!("n{number}/b/c/d")).exists())).await;
    fs::rename(world.here("n1"), world.here("m1")).unwrap();
    until("a renamed folder", || world.there("m1/b/c/d").exists() && !world.there("n1").exists()).await;
    write(&world.here("m1/b/c/e"), "e");
    until("an edit in it", || world.there("m1/b/c/e").exists()).await;
    write(&world.there("m1/b/f"), "f");
    until("an edit in it, there", || world.here("m1/b/f").exists()).await;
    write(&world.here(".tmp"), "saved");
    fs::rename(world.here(".tmp"), world.here("a/x")).unwrap();
    until("a save by rename", || fs::read_to_string(world.there("a/x")).is_ok_and(|text| text == "saved")).await;
    flush(&session).await;
    world.assert_equal();
    world.stop(session).await;
}

#[tokio::test]
async fn undo_brings_back_what_the_other_side_replaced_or_deleted() {
    let world = World::new();
    for name in ["a/changed", "a/deleted", "same"] {
        write(&world.here(name), "mine");
    }
    world.once().await;
    write(&world.there("a/changed"), "theirs");
    fs::remove_file(world.there("a/deleted")).unwrap();
    let session = world.start();
    flush(&session).await;
    assert!(!world.here("a/deleted").exists());
    assert_eq!(session.undo().await.unwrap(), 2);
    flush(&session).await;
    world.assert_equal();
    assert_eq!(fs::read_to_string(world.there("a/changed")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(world.there("a/deleted")).unwrap(), "mine");
    world.stop(session).await;
}

#[tokio::test]
async fn git_crosses_but_what_it_runs_does_not_come_back() {
    let world = World::new();
    for name in ["config", "HEAD", "index", "index.lock", "hooks/pre-commit", "objects/ab/cd", "refs/heads/config"] {
        write(&world.here(".git").join(name), "host");
    }
    fs::remove_file(world.here(".git/index.lock")).unwrap();
    world.once().await;
    world.assert_equal();
    write(&world.there(".git/config"), "[core]\n\tfsmonitor = evil");
    write(&world.there(".git/hooks/post-checkout"), "evil");
    write(&world.there(".git/HEAD"), "box");
    write(&world.there("sub/.git"), "gitdir: ../evil");
    world.once().await;
    assert_eq!(fs::read_to_string(world.here(".git/config")).unwrap(), "host");
    assert_eq!(fs::read_to_string(world.here(".git/HEAD")).unwrap(), "box");
    assert!(!world.here(".git/hooks/post-checkout").exists() && !world.here("sub/.git").exists());
    write(&world.here(".git/config"), "newer");
    world.once().await;
    assert_eq!(fs::read_to_string(world.there(".git/config")).unwrap(), "newer");
}

#[tokio::test]
async fn moved_content_and_special_names_arrive() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    write(&world.here("a/large"), &"z".repeat(2 << 20));
    let odd = std::ffi::OsStr::from_bytes(b"not utf-8 \xff\n");
    fs::write(world.here("a").join(odd), "x").unwrap();
    write(&world.here(&"n".repeat(255)), "long");
    let session = world.start();
    flush(&session).await;
    fs::rename(world.here("a"), world.here("b")).unwrap();
    flush(&session).await;
    world.assert_equal();
    assert!(world.there("b").join(odd).exists() && !world.there("a").exists());
    std::os::unix::net::UnixListener::bind(world.there("socket")).unwrap();
    flush(&session).await;
    let status = session.status().await;
    assert_eq!((status.skipped_count, status.skipped[0].path.as_str()), (1, "socket"));
    world.stop(session).await;
}

#[tokio::test]
async fn holes_stay_holes_links_become_files_and_pipes_are_told() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let world = World::new();
    let sparse = fs::File::create(world.here("sparse")).unwrap();
    sparse.set_len(16 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 8 << 20).unwrap();
    write(&world.here("one"), "1");
    fs::hard_link(world.here("one"), world.here("two")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(world.there("pipe")).status().unwrap().success());
    let session = world.start();
    flush(&session).await;
    let facts = fs::metadata(world.there("sparse")).unwrap();
    assert_eq!(facts.len(), 16 << 20);
    assert!(facts.blocks() * 512 < 1 << 20, "{} blocks", facts.blocks());
    let inode = |name: &str| fs::metadata(world.there(name)).unwrap().ino();
    assert_ne!(inode("one"), inode("two"));
    fs::write(world.here("one"), "both").unwrap();
    flush(&session).await;
    assert_eq!(fs::read_to_string(world.there("two")).unwrap(), "both");
    let status = session.status().await;
    let skipped = &status.skipped[0];
    assert_eq!(
        (skipped.path.as_str(), skipped.reason.as_str()),
        ("pipe", "a socket, device or pipe on the other side")
    );
    fs::remove_file(world.there("pipe")).unwrap();
    world.assert_equal();
    world.stop(session).await;
}

//! A side's computer goes down: what its disk was left with is no edit.

use super::world::{World, flush, write};
use std::fs;
use std::path::Path;

/// Makes the next start think that the computer went down with work in memory.
fn go_down(state: &Path) {
    let life = state.join("life");
    let kept = fs::read_to_string(&life).unwrap();
    let (_, id) = kept.split_once(' ').unwrap();
    fs::write(life, format!("another-boot {id}")).unwrap();
}

/// Both sides have a few things, of which nothing is known to be on disk.
async fn at_work(world: &World) {
    for name in ["empty", "half", "gone", "dir/gone", "old", "deleted", "kept"] {
        write(&world.here(name), "first version");
    }
    let session = world.start();
    flush(&session).await;
    write(&world.here("old"), "second version");
    fs::remove_file(world.here("deleted")).unwrap();
    flush(&session).await;
    world.stop(session).await;
}

/// What a disk may be left with.
fn tear(at: impl Fn(&str) -> std::path::PathBuf) {
    write(&at("empty"), "");
    write(&at("half"), "first ve");
    fs::remove_file(at("gone")).unwrap();
    fs::remove_dir_all(at("dir")).unwrap();
    write(&at("old"), "first version");
    write(&at("deleted"), "first version");
}

#[tokio::test]
async fn what_a_crash_left_over_there_never_comes_here() {
    let world = World::new();
    at_work(&world).await;
    let before = world.trees().0;
    tear(|name| world.there(name));
    go_down(&world.state("there"));
    let status = world.once().await;
    assert_eq!(status.conflict_count, 0, "{status:?}");
    assert!(status.notes.iter().any(|note| note.contains("went down")), "{status:?}");
    assert_eq!(world.trees(), (before.clone(), before));
    write(&world.there("kept"), "an edit, after that");
    world.once().await;
    world.assert_equal();
    assert_eq!(fs::read_to_string(world.here("kept")).unwrap(), "an edit, after that");
}

#[tokio::test]
async fn what_a_crash_left_here_never_goes_there_but_a_newer_version_comes() {
    let world = World::new();
    at_work(&world).await;
    let mut wanted = world.trees().1;
    tear(|name| world.here(name));
    write(&world.there("half"), "edited there meanwhile");
    wanted.insert("half".into(), "644 edited there meanwhile".into());
    go_down(&world.state("here").join("here"));
    let status = world.once().await;
    assert_eq!(status.conflict_count, 0, "{status:?}");
    assert_eq!(world.trees(), (wanted.clone(), wanted));
}

#[tokio::test]
async fn what_both_lost_is_nobodys_to_decide() {
    let world = World::new();
    at_work(&world).await;
    write(&world.here("half"), "firs");
    write(&world.there("half"), "first v");
    write(&world.there("kept"), "");
    go_down(&world.state("here").join("here"));
    go_down(&world.state("there"));
    let status = world.once().await;
    let conflicts: Vec<_> = status.conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
    assert_eq!(conflicts, ["half"]);
    assert_eq!(fs::read_to_string(world.there("kept")).unwrap(), "first version");
}

#[tokio::test]
async fn what_was_on_disk_before_is_an_edit() {
    let world = World::new();
    at_work(&world).await;
    // Both sides say that all is on disk when it has been quiet.
    let session = world.start();
    flush(&session).await;
    let journal = world.state("here").join("journal");
    let settled = || fs::read(&journal).is_ok_and(|bytes| bytes.len() > 20);
    super::world::until("both sides settled", settled).await;
    world.stop(session).await;
    write(&world.there("kept"), "an edit");
    go_down(&world.state("there"));
    world.once().await;
    assert_eq!(fs::read_to_string(world.here("kept")).unwrap(), "an edit");
}

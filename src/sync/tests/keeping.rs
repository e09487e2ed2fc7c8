//! What a session keeps is written while it runs, beside everything else.

use super::world::{World, flush, until, write};
use nix::sys::stat::Mode;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A copy of what is kept, as a kill at this moment would leave it.
fn copy_kept(state: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in ["base", "journal", "replica"] {
        let _ = fs::copy(state.join(name), to.join(name));
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |facts| facts.len())
}

/// Goes on from what was kept at some moment: what is deleted now was agreed on by then, or it would come back.
async fn goes_on_from(world: &World, kept: &Path, deleted: &[&str]) {
    for name in ["base", "journal"] {
        let _ = fs::remove_file(world.state("here").join(name));
        let _ = fs::copy(kept.join(name), world.state("here").join(name));
    }
    deleted.iter().for_each(|name| fs::remove_file(world.here(name)).unwrap());
    world.once().await;
    world.assert_equal();
    for name in deleted {
        assert!(!world.there(name).exists(), "{name} came back");
    }
}

#[tokio::test]
async fn a_quiet_session_folds_its_journal_into_the_base() {
    let world = World::new();
    ["a", "b", "dir/c"].iter().for_each(|name| write(&world.here(name), name));
    let session = world.start();
    flush(&session).await;
    let state = world.state("here");
    until("the base is written", || length(&state.join("base")) > 0 && length(&state.join("journal")) == 0).await;
    let kept = world.state("kept");
    copy_kept(&state, &kept);
    assert!(!state.join("base.new").exists());
    world.stop(session).await;
    goes_on_from(&world, &kept, &["a", "dir/c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_its_time_over_the_base_holds_nothing_up() {
    let world = World::new();
    write(&world.here("before"), "1");
    // Opening a pipe waits for its other end, as a disk may.
    let state = world.state("here");
    fs::create_dir(&state).unwrap();
    let slow = state.join(format!(".base.new.{}.tmp", std::process::id()));
    nix::unistd::mkfifo(&slow, Mode::S_IRWXU).unwrap();
    let session = world.start();
    flush(&session).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    write(&world.here("while it is written"), "2");
    flush(&session).await;
    assert_eq!(fs::read_to_string(world.there("while it is written")).unwrap(), "2");
    let kept = world.state("kept");
    copy_kept(&state, &kept);
    // It is no file, so that writing it fails in the end, which is noted, and done anew.
    let read = fs::read(&slow).unwrap();
    assert!(!read.is_empty());
    until("the base is written", || length(&state.join("base")) > 0 && length(&state.join("journal")) == 0).await;
    world.stop(session).await;
    goes_on_from(&world, &kept, &["before", "while it is written"]).await;
}

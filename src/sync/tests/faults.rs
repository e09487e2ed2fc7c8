//! What goes wrong under a session while it goes on.

use super::world::{World, flush, write};
use crate::sys::folder::Folder;
use std::fs;
use std::path::Path;

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
    fs::remove_dir_all(world.here("c")).unwrap();
    fs::write(world.here("c"), "a file now").unwrap();
    write(&world.here("other"), "goes over");
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

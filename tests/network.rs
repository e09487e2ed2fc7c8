//! The project network, with a real keeper, real namespaces and real sockets. Runs as root and as an ordinary user.

#[path = "network/in_box.rs"]
mod in_box;
#[path = "network/names.rs"]
mod names;
#[path = "network/outward.rs"]
mod outward;
#[path = "network/ports.rs"]
mod ports;
#[path = "network/survival.rs"]
mod survival;
#[path = "network/world.rs"]
mod world;

use std::process::Command;
use world::{devenv_binary, is_root};

/// All of it once more as somebody else, when this is root.
#[test]
fn everything_again_as_an_ordinary_user() {
    if !is_root() {
        return;
    }
    const USER: &str = "devenv-network-test";
    // Exit code 9: the user exists (useradd(8)).
    let made = Command::new("useradd").args(["--create-home", USER]).status().expect("useradd").code();
    assert!(matches!(made, Some(0 | 9)), "useradd {USER}: {made:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let (own, program) = (folder.path().join("network"), folder.path().join("devenv"));
    std::fs::copy(std::env::current_exe().expect("own path"), &own).expect("copy the test");
    std::fs::copy(devenv_binary(), &program).expect("copy the program");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("open the folder");
    let output = Command::new("runuser")
        .args(["-u", USER, "--"])
        .arg(&own)
        .args(["--test-threads=2"])
        .env("DEVENV_TEST_PROGRAM", &program)
        .current_dir("/")
        .output()
        .expect("runuser");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

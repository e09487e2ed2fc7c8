//! Several processes at once, and one that is killed. The other processes are this test program again.

use crate::make::*;
use crate::server::*;
use crate::support::*;
use devenv::model::Kind;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const STORE: &str = "IMAGE_TEST_STORE";
const REFERENCE: &str = "IMAGE_TEST_REFERENCE";

/// Pulls where it is told to; does nothing in an ordinary run of the tests.
#[test]
fn child_pulls() {
    let (Some(root), Ok(reference)) = (std::env::var_os(STORE), std::env::var(REFERENCE)) else { return };
    let mut bench = Bench::new();
    bench.root = root.into();
    bench.pull(&reference).unwrap();
}

/// This program again, pulling.
pub fn child(bench: &Bench, reference: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::child_pulls"]).env(STORE, &bench.root).env(REFERENCE, reference);
    command.stdout(Stdio::null());
    command
}

fn spawn(bench: &Bench, reference: &str) -> Child {
    child(bench, reference).spawn().unwrap()
}

#[test]
fn four_processes_share_one_pull() {
    let bench = Bench::new();
    let tars: Vec<Vec<u8>> = (0..6).map(|i| noisy_tar(&format!("noise{i}"), 1_000_000 + i)).collect();
    let made = image(&tars);
    let layers = made.layers.clone();
    let server = Server::start(move |asked| well_behaved(&made, asked));
    let reference = format!("{}/a", server.host());
    let mut children: Vec<Child> = (0..4).map(|_| spawn(&bench, &reference)).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    for layer in &layers {
        assert_eq!(server.asked(layer).len(), 1);
    }
    let image = bench.store().find(&registry_source(&reference)).unwrap().unwrap();
    for (i, layer) in image.layers.iter().enumerate() {
        assert_eq!(fs::read(layer.join(format!("noise{i}"))).unwrap(), noise(1_000_000 + i));
    }
    assert_eq!(names(&bench.root.join("staging")), ["order"]);
}

#[test]
fn a_killed_pull_leaves_nothing_and_the_next_one_works() {
    let bench = Bench::new();
    let made = image(&[noisy_tar("noise", 2_000_000), tar(&[file("a", "1")])]);
    let (big, stuck) = (made.layers[0].clone(), Arc::new(AtomicBool::new(true)));
    let sticking = Arc::clone(&stuck);
    let server = Server::start(move |asked| {
        let mut answer = well_behaved(&made, asked);
        if asked.path.contains(&made.layers[0]) && sticking.load(Ordering::Relaxed) {
            (answer.cut_at, answer.hang) = (Some(1_500_000), true);
        }
        answer
    });
    let reference = format!("{}/a", server.host());
    let mut child = spawn(&bench, &reference);
    let staging = bench.root.join("staging");
    let arrived = || {
        let folders = fs::read_dir(&staging).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.filter(|path| path.is_dir()).any(|path| tree(&path).keys().any(|name| name.ends_with("noise")))
    };
    wait_until("half of the layer is there", arrived);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(bench.store().list().unwrap(), []);
    assert_eq!(bench.store().find(&registry_source(&reference)).unwrap(), None);
    assert!(arrived(), "the leftovers are still there");
    stuck.store(false, Ordering::Relaxed);
    bench.pull(&reference).unwrap();
    assert_eq!(names(&staging), ["order"]);
    assert!(server.asked(&big).len() >= 2);
}

#[test]
fn an_interrupted_pull_stops_and_keeps_what_is_complete() {
    let bench = Bench::new();
    let made = image(&[noisy_tar("noise", 2_000_000), tar(&[file("a", "1")])]);
    let stuck = Arc::new(AtomicBool::new(true));
    let sticking = Arc::clone(&stuck);
    let small = made.layers[1].clone();
    let server = Server::start(move |asked| {
        let mut answer = well_behaved(&made, asked);
        if asked.path.contains(&made.layers[0]) && sticking.load(Ordering::Relaxed) {
            (answer.cut_at, answer.hang) = (Some(1_000_000), true);
        }
        answer
    });
    let source = registry_source(&format!("{}/a", server.host()));
    let events: Arc<dyn devenv::model::Events> = bench.heard.clone();
    let half_done = || {
        let heard = bench.heard.0.lock().unwrap();
        heard.iter().any(|event| matches!(event, devenv::model::Event::TransferEnded { .. }))
    };
    let failure = bench.store().obtain(&source, &bench.settings, false, &half_done, &events).unwrap_err();
    assert_eq!(failure.get_kind(), Kind::Interrupted);
    assert_eq!(bench.store().list().unwrap(), []);
    stuck.store(false, Ordering::Relaxed);
    bench.obtain(&source).unwrap();
    assert_eq!(server.asked(&small).len(), 1);
}

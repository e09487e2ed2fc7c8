//! Keepers come and go; boxes stay.

use crate::in_box::ask_tcp;
use crate::world::{World, exactly, name, only_port, plan, port, preferred, wait_until, wanted};
use devenv::model::Protocol;
use devenv::model::wire::Survivor;
use devenv::ops::here::keeper::Keeper;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_new_keeper_takes_over_from_a_killed_one() {
    let mut world = World::new();
    let mut boxes = vec![wanted("dev", 2, &[preferred(18_700, Protocol::Tcp)]), wanted("gone", 3, &[])];
    let set = world.set(&plan(boxes.clone()));
    let router = Stdio::from(set.router.try_clone().unwrap());
    let mut holder = world.start_holding(&set.boxes[0], "hold 127.0.0.1:18700", router);
    holder.wait_ready();
    let address = format!("127.0.0.1:{}", only_port(&set, "dev"));
    assert_eq!(ask_tcp(&address, "before"), "BEFORE");
    boxes[0].remembered = set.ports[&name("dev")].clone();
    drop(set);

    world.keeper = None;
    kill(world.pid);
    assert!(Keeper::connect(&world.socket()).unwrap().is_none());
    // nsenter became what it started, so its number is that of the process in the box. Descriptor 0 is the router.
    let survivor = |text: &str, pid| Survivor { name: name(text), pid, router_descriptor: 0 };
    // The first is no process at all: that must not matter to the others.
    let pid = holder.child.id();
    world.start_again(pid, vec![survivor("gone", i32::MAX as u32), survivor("dev", pid)]);
    boxes.push(wanted("new", 4, &[]));
    let set = world.set(&plan(boxes));
    assert_eq!(address, format!("127.0.0.1:{}", only_port(&set, "dev")));
    assert_eq!(ask_tcp(&address, "after"), "AFTER");
    let _server = world.listen_in_box(&set.boxes[0], "tcp-server 0.0.0.0:80");
    assert_eq!(world.run_in_box(&set.boxes[2], "tcp 10.233.4.2:80 neighbour"), "NEIGHBOUR");
    assert_eq!(world.run_in_box(&set.boxes[2], "dns udp/10.233.4.1:53 gone A"), "No Error 10.233.4.3");
}

#[test]
fn quitting_leaves_neither_process_nor_port() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_800, Protocol::Tcp)])]));
    let number = only_port(&set, "dev");
    assert!(TcpListener::bind(("127.0.0.1", number)).is_err());
    world.keeper.take().unwrap().quit().unwrap_or_else(|failure| panic!("{:?}", failure.chain()));
    assert!(TcpListener::bind(("127.0.0.1", number)).is_ok());
    // As a zombie it would still be listed.
    wait_until("the keeper is gone", || !Path::new(&format!("/proc/{}", world.pid)).exists());
    assert!(Keeper::connect(&world.socket()).unwrap().is_none());
    assert!(world.log().ends_with("keeper ends\n"), "{}", world.log());
}

#[test]
fn a_keeper_that_does_not_answer_is_killed() {
    let mut world = World::new();
    let pid = world.pid.to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    // Another connection, whose `quit` cannot be answered.
    world.keeper = None;
    let keeper = Keeper::connect(&world.socket()).unwrap().unwrap();
    keeper.quit().unwrap_or_else(|failure| panic!("{:?}", failure.chain()));
    wait_until("the keeper is gone", || !Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn sigterm_is_quit() {
    let mut world = World::new();
    world.set(&plan(vec![wanted("dev", 2, &[exactly(port(18_810), 80)])]));
    world.keeper = None;
    assert!(Command::new("kill").arg(world.pid.to_string()).status().unwrap().success());
    wait_until("the keeper is gone", || !Path::new(&format!("/proc/{}", world.pid)).exists());
    assert!(world.log().ends_with("keeper ends\n"), "{}", world.log());
}

#[test]
fn nonsense_is_answered_and_survived() {
    use std::io::{BufRead, BufReader, Write};
    let world = World::new();
    let mut stream = devenv::sys::linux::unix::connect(&world.socket()).unwrap();
    stream.write_all(b"{\"ask\":\"dance\"}\n{\"ask\":\"hello\"}\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().contains("does not understand"));
    assert!(next().contains(&format!("\"pid\":{}", world.pid)));
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    wait_until("the keeper is gone", || !Path::new(&format!("/proc/{pid}")).exists());
}

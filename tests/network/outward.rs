//! From boxes to each other and to the outside.

use crate::in_box::{answer_when_all_is_heard, echo_udp};
use crate::world::{GATEWAY, World, host_address, name, plan, wanted};
use devenv::sys::linux::icmp;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// A server of this computer, at an address that is not loopback.
fn serve_tcp() -> SocketAddr {
    let listener = TcpListener::bind((host_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer_when_all_is_heard));
    address
}

fn serve_udp() -> SocketAddr {
    let socket = UdpSocket::bind((host_address(), 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || echo_udp(&socket));
    address
}

#[test]
fn boxes_reach_the_outside_by_tcp_and_udp() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[])]));
    assert_eq!(set.notes, [""; 0]);
    let dev = &set.boxes[0];
    assert_eq!(world.run_in_box(dev, &format!("tcp {} outward", serve_tcp())), "OUTWARD");
    assert_eq!(world.run_in_box(dev, &format!("udp {} outward", serve_udp())), "OUTWARD");
    let closed = SocketAddr::new(host_address(), 1);
    let said = world.run_in_box(dev, &format!("tcp {closed} hello"));
    // Which of these depends on how far the connection had got when it was reset.
    let refusals = ["error ConnectionReset", "error BrokenPipe", "error ConnectionRefused", "error NotConnected"];
    assert!(refusals.contains(&&*said), "{said}");
}

#[test]
fn boxes_reach_each_other_but_neither_the_hosts_loopback_nor_the_gateway() {
    let on_loopback = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[]), wanted("db", 3, &[])]));
    let _tcp = world.listen_in_box(&set.boxes[1], "tcp-server 0.0.0.0:5432");
    let _udp = world.listen_in_box(&set.boxes[1], "udp-server 0.0.0.0:5432");
    let dev = &set.boxes[0];
    assert_eq!(world.run_in_box(dev, "tcp 10.233.4.3:5432 neighbour"), "NEIGHBOUR");
    assert_eq!(world.run_in_box(dev, "udp 10.233.4.3:5432 neighbour"), "NEIGHBOUR");
    assert_eq!(world.run_in_box(dev, &format!("tcp {on_loopback} hello")), "error ConnectionRefused");
    let gateway_ports = [1, 22, 80, 60_001, 60_002, on_loopback.port()];
    for port in gateway_ports {
        assert_eq!(world.run_in_box(dev, &format!("tcp {GATEWAY}:{port} hello")), "error ConnectionRefused", "{port}");
    }
    for port in [1, 60_001] {
        let said = world.run_in_box(dev, &format!("udp {GATEWAY}:{port} hello"));
        assert!(["error ConnectionRefused", "error WouldBlock"].contains(&&*said), "{port}: {said}");
    }
}

#[test]
fn projects_do_not_reach_each_other() {
    let (mut one, mut other) = (World::new(), World::new());
    let set_one = one.set(&plan(vec![wanted("dev", 2, &[])]));
    let set_other = other.set(&plan(vec![wanted("web", 9, &[])]));
    let _server = other.listen_in_box(&set_other.boxes[0], "tcp-server 0.0.0.0:80");
    // The same network's addresses, and still another network: nobody is there.
    let said = one.run_in_box(&set_one.boxes[0], "tcp 10.233.4.9:80 hello");
    assert!(said.starts_with("error "), "{said}");
}

#[test]
fn two_hundred_boxes() {
    let mut world = World::new();
    // The descriptors of all of them arrive here.
    devenv::sys::socket::raise_descriptor_limit();
    let boxes: Vec<_> = (0..200).map(|number| wanted(&format!("b{number}"), 2 + number as u8, &[])).collect();
    let set = world.set(&plan(boxes.clone()));
    assert_eq!(set.boxes.len(), 200);
    let _server = world.listen_in_box(&set.boxes[199], "tcp-server 0.0.0.0:80");
    assert_eq!(world.run_in_box(&set.boxes[0], "tcp 10.233.4.201:80 far"), "FAR");
    let fewer = world.set(&plan(vec![boxes[0].clone(), boxes[199].clone()]));
    assert_eq!(fewer.ports.keys().cloned().collect::<Vec<_>>(), [name("b0"), name("b199")]);
    assert_eq!(world.run_in_box(&fewer.boxes[0], "tcp 10.233.4.201:80 still"), "STILL");
}

#[test]
fn more_boxes_than_one_message_has_descriptors() {
    let mut world = World::new();
    devenv::sys::socket::raise_descriptor_limit();
    let mut boxes = Vec::new();
    for number in 0..300u16 {
        let mut wanted = wanted(&format!("b{number}"), 2, &[]);
        wanted.address = [10, 233, 4 + (number / 200) as u8, 10 + (number % 200) as u8].into();
        boxes.push(wanted);
    }
    assert_eq!(world.set(&plan(boxes)).boxes.len(), 300);
}

#[test]
fn boxes_ping_each_other_and_where_the_host_may_the_outside() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[]), wanted("db", 3, &[])]));
    assert_eq!(world.run_in_box(&set.boxes[0], "ping 10.233.4.3"), "pong");
    assert_eq!(world.run_in_box(&set.boxes[0], &format!("ping {GATEWAY}")), "pong");
    if icmp::ping("127.0.0.1".parse().unwrap()).is_err() {
        eprintln!("skipped: this user may not ping (net.ipv4.ping_group_range)");
        return;
    }
    assert_eq!(world.run_in_box(&set.boxes[0], &format!("ping {}", host_address())), "pong");
    assert_eq!(world.run_in_box(&set.boxes[0], "ping 203.0.113.9"), "error WouldBlock");
}

//! Published ports.

use crate::in_box::{ask_tcp, ask_udp};
use crate::world::{World, exactly, is_root, name, only_port, plan, port, preferred, wanted};
use devenv::model::{HostPort, PortAddress, PortRequest, Protocol};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

#[test]
fn a_port_is_on_both_loopbacks_and_reaches_a_loopback_only_program() {
    let mut world = World::new();
    let ports = [preferred(18_000, Protocol::Tcp), preferred(18_001, Protocol::Tcp), preferred(18_002, Protocol::Tcp)];
    let set = world.set(&plan(vec![wanted("dev", 2, &ports)]));
    let _servers = ["127.0.0.1:18000", "[::1]:18001", "10.233.4.2:18002"]
        .map(|address| world.listen_in_box(&set.boxes[0], &format!("tcp-server {address}")));
    for published in &set.ports[&name("dev")] {
        for host in ["127.0.0.1", "[::1]"] {
            let address = format!("{host}:{}", published.host_port);
            assert_eq!(ask_tcp(&address, "half-closed"), "HALF-CLOSED", "{address} to {}", published.box_port);
        }
    }
    assert!(TcpStream::connect((crate::world::host_address(), set.ports[&name("dev")][0].host_port)).is_err());
}

#[test]
fn nobody_listening_is_a_reset() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_050, Protocol::Tcp)])]));
    let said = ask_tcp(&format!("127.0.0.1:{}", only_port(&set, "dev")), "hello");
    assert!(["error ConnectionReset", "error BrokenPipe"].contains(&&*said), "{said}");
}

#[test]
fn udp_goes_both_ways() {
    let mut world = World::new();
    let ports = [preferred(18_100, Protocol::Udp), preferred(18_101, Protocol::Udp)];
    let set = world.set(&plan(vec![wanted("dev", 2, &ports)]));
    let _servers = ["127.0.0.1:18100", "10.233.4.2:18101"]
        .map(|address| world.listen_in_box(&set.boxes[0], &format!("udp-server {address}")));
    for port in &set.ports[&name("dev")] {
        for host in ["127.0.0.1", "[::1]"] {
            assert_eq!(ask_udp(&format!("{host}:{}", port.host_port), "datagram"), "DATAGRAM", "{host} {port:?}");
        }
    }
}

#[test]
fn a_taken_port_is_refused_by_the_name_of_its_holder_and_nothing_changes() {
    let mut world = World::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().port();
    let before = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_200, Protocol::Tcp)])]));
    let said = world.refused(&plan(vec![
        wanted("dev", 2, &[exactly(taken, 80), preferred(18_201, Protocol::Tcp)]),
        wanted("web", 3, &[preferred(port(18_202), Protocol::Tcp)]),
    ]));
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    assert!(said.starts_with(&format!("cannot publish port 80 of dev at 127.0.0.1 port {taken} (tcp)")), "{said}");
    let after = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_200, Protocol::Tcp)])]));
    assert_eq!(before.ports, after.ports);
    assert!(TcpListener::bind(("127.0.0.1", port(18_202))).is_ok());
}

#[test]
fn a_preferred_port_falls_back_with_a_note_and_stays() {
    let mut world = World::new();
    let taken = port(18_250);
    let holder = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let mut boxes = vec![wanted("dev", 2, &[preferred(taken, Protocol::Tcp)])];
    let first = world.set(&plan(boxes.clone()));
    let chosen = only_port(&first, "dev");
    assert_ne!(chosen, taken);
    let note = format!("port {taken} is taken on this computer; port {taken} of dev is at {chosen}");
    assert_eq!(first.notes.iter().filter(|said| **said == note).count(), 1, "{:?}", first.notes);
    // Taken away and published again, the number is the one that is remembered, also when the other is free.
    boxes[0].remembered = first.ports[&name("dev")].clone();
    drop(holder);
    world.set(&plan(vec![]));
    let second = world.set(&plan(boxes));
    assert_eq!((only_port(&second, "dev"), second.notes), (chosen, vec![]));
}

#[test]
fn a_port_moves_from_box_to_box_and_a_chosen_one_gives_way() {
    let mut world = World::new();
    let first = world.set(&plan(vec![wanted("a", 2, &[preferred(port(18_300), Protocol::Tcp)]), wanted("b", 3, &[])]));
    assert_eq!(only_port(&first, "a"), port(18_300));
    let _server = world.listen_in_box(&first.boxes[1], "tcp-server 127.0.0.1:80");
    let second = world.set(&plan(vec![
        wanted("a", 2, &[preferred(port(18_300), Protocol::Tcp)]),
        wanted("b", 3, &[exactly(port(18_300), 80)]),
    ]));
    assert_ne!(only_port(&second, "a"), port(18_300));
    assert_eq!(ask_tcp(&format!("127.0.0.1:{}", port(18_300)), "moved"), "MOVED");
}

#[test]
fn ports_below_1024_are_roots() {
    let mut world = World::new();
    // 18 is assigned to a protocol nobody serves any more (RFC 1312).
    let request = PortRequest { host: HostPort::Preferred, ..exactly(0, 18) };
    let set = world.set(&plan(vec![wanted("dev", 2, &[request])]));
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let allowed = is_root() || first_free.trim().parse::<u16>().unwrap() <= 18;
    assert_eq!(only_port(&set, "dev") == 18, allowed, "{set:?}");
    assert_eq!(set.notes.is_empty(), allowed, "{set:?}");
    if !allowed {
        let said = world.refused(&plan(vec![wanted("dev", 2, &[exactly(18, 18)])]));
        assert!(said.contains("cannot publish port 18 of dev"), "{said}");
    }
}

#[test]
fn an_explicit_address_is_that_address_alone() {
    let mut world = World::new();
    let address = PortAddress::Address("127.0.0.9".parse().unwrap());
    let request = PortRequest { address, ..exactly(port(18_400), 80) };
    let set = world.set(&plan(vec![wanted("dev", 2, &[request])]));
    let _server = world.listen_in_box(&set.boxes[0], "tcp-server 0.0.0.0:80");
    assert_eq!(ask_tcp(&format!("127.0.0.9:{}", port(18_400)), "here"), "HERE");
    assert_eq!(ask_tcp(&format!("127.0.0.1:{}", port(18_400)), "not here"), "error ConnectionRefused");
    let nowhere = PortRequest { address: PortAddress::Address("203.0.113.7".parse().unwrap()), ..request };
    let said = world.refused(&plan(vec![wanted("dev", 2, &[nowhere])]));
    assert!(said.starts_with("cannot publish port 80 of dev at 203.0.113.7 port"), "{said}");
}

#[test]
fn a_thousand_connections_at_once() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_500, Protocol::Tcp)])]));
    let _server = world.listen_in_box(&set.boxes[0], "tcp-server 127.0.0.1:18500");
    let address = ("127.0.0.1", only_port(&set, "dev"));
    raise_limit();
    let mut streams: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(b"one of many").unwrap();
    }
    for stream in &mut streams {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "ONE OF MANY");
    }
}

#[test]
fn much_data_arrives_whole_both_ways() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_550, Protocol::Tcp)])]));
    let _server = world.listen_in_box(&set.boxes[0], "tcp-server 127.0.0.1:18550");
    let text = "all work and no play ".repeat(500_000);
    let heard = ask_tcp(&format!("127.0.0.1:{}", only_port(&set, "dev")), &text);
    assert!(heard == text.to_ascii_uppercase(), "{} of {} bytes", heard.len(), text.len());
}

#[test]
fn an_aborted_connection_is_reset_on_the_other_side() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[preferred(18_600, Protocol::Tcp)])]));
    let _server = world.listen_in_box(&set.boxes[0], "tcp-server 127.0.0.1:18600");
    let mut stream = TcpStream::connect(("127.0.0.1", only_port(&set, "dev"))).unwrap();
    stream.write_all(b"never heard to the end").unwrap();
    drop(_server);
    let ended = stream.read(&mut [0; 10]);
    assert!(matches!(ended, Ok(0)) || ended.is_err(), "{ended:?}");
}

fn raise_limit() {
    devenv::sys::socket::raise_descriptor_limit();
}

//! Names of boxes and of the rest of the world.

use crate::world::{GATEWAY, World, is_root, plan, wanted};
use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};

#[test]
fn boxes_find_each_other_by_name() {
    let mut world = World::new();
    let set = world.set(&plan(vec![wanted("dev", 2, &[]), wanted("db", 3, &[])]));
    let table = [
        ("db A", "No Error 10.233.4.3"),
        ("DB. A", "No Error 10.233.4.3"),
        ("dev AAAA", "No Error "),
        ("3.4.233.10.in-addr.arpa. PTR", "No Error db."),
    ];
    for transport in ["udp", "tcp"] {
        for (question, answer) in table {
            let said = world.run_in_box(&set.boxes[0], &format!("dns {transport}/{GATEWAY}:53 {question}"));
            assert_eq!(said, answer, "{transport} {question}");
        }
    }
    let later = world.set(&plan(vec![wanted("dev", 2, &[]), wanted("web", 4, &[])]));
    let ask = |name: &str| world.run_in_box(&later.boxes[0], &format!("dns udp/{GATEWAY}:53 {name} A"));
    assert_eq!(ask("web"), "No Error 10.233.4.4");
}

/// Answers everything with 192.0.2.53; over UDP names that begin with `big` are cut short.
fn answer(question: &[u8], by_udp: bool) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let name = question.queries[0].name.clone();
    let mut answer = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    answer.add_queries(question.queries.iter().cloned());
    if by_udp && name.to_ascii().starts_with("big") {
        answer.metadata.truncation = true;
    } else {
        answer.add_answer(Record::from_rdata(name, 60, RData::A(A([192, 0, 2, 53].into()))));
    }
    answer.to_vec().unwrap()
}

fn serve_names(address: IpAddr) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            socket.send_to(&answer(&buffer[..length], true), client).unwrap();
        }
    });
    let listener = TcpListener::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, false);
            stream.write_all(&(answer.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
}

#[test]
fn other_names_are_asked_of_the_resolvers_also_on_the_hosts_loopback() {
    if !is_root() {
        eprintln!("skipped: only root can be a resolver at port 53");
        return;
    }
    let resolver: IpAddr = "127.0.9.53".parse().unwrap();
    serve_names(resolver);
    let mut world = World::new();
    let mut wanted_plan = plan(vec![wanted("dev", 2, &[])]);
    // Nobody listens at the first: the second is asked at once.
    wanted_plan.dns = vec!["127.0.9.54".parse().unwrap(), resolver];
    let set = world.set(&wanted_plan);
    let ask = |question: &str| world.run_in_box(&set.boxes[0], &format!("dns {question}"));
    assert_eq!(ask(&format!("udp/{GATEWAY}:53 example.org A")), "No Error 192.0.2.53");
    assert_eq!(ask(&format!("udp/{GATEWAY}:53 big.example.org A")), "No Error truncated ");
    assert_eq!(ask(&format!("tcp/{GATEWAY}:53 big.example.org A")), "No Error 192.0.2.53");
    wanted_plan.dns = vec!["127.0.9.54".parse().unwrap()];
    let set = world.set(&wanted_plan);
    let said = world.run_in_box(&set.boxes[0], &format!("dns udp/{GATEWAY}:53 example.org A"));
    assert_eq!(said, "Server Failure ");
}

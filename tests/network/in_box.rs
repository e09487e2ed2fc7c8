//! What programs in boxes do: this test binary again, started in a box's namespace with a role.

use devenv::sys::linux::icmp::{self, Echo};
use devenv::sys::socket;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(8);

/// Plays the role in `IN_BOX`: servers print READY and go on until killed, the others print `SAYS …` and end.
#[test]
#[ignore = "started in boxes by the other tests"]
fn play() {
    let Ok(role) = std::env::var("IN_BOX") else { return };
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["tcp-server", address] => serve_tcp(address),
        ["udp-server", address] => serve_udp(address),
        ["tcp", address, text] => println!("SAYS {}", ask_tcp(address, text)),
        ["udp", address, text] => println!("SAYS {}", ask_udp(address, text)),
        ["ping", address] => println!("SAYS {}", ping(address)),
        ["dns", server, name, kind] => println!("SAYS {}", ask_name(server, name, kind)),
        ["hold", address] => serve_tcp(address),
        _ => panic!("no such role: {role}"),
    }
}

/// Reads all a client says, and only then answers: so the end of what one side says has to be passed on.
pub fn answer_when_all_is_heard(mut stream: TcpStream) {
    let mut heard = Vec::new();
    if stream.read_to_end(&mut heard).is_ok() {
        heard.make_ascii_uppercase();
        let _ = stream.write_all(&heard);
    }
}

fn serve_tcp(address: &str) {
    // std's own backlog of 128 is too short for many clients at once.
    let listener = socket::bound_tcp(address.parse().expect("an address")).expect("bind");
    socket::listen(&listener, 4096).expect("listen");
    listener.set_nonblocking(false).expect("made to wait");
    println!("READY");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(|| answer_when_all_is_heard(stream));
    }
}

fn serve_udp(address: &str) {
    let socket = UdpSocket::bind(address).expect("bind");
    println!("READY");
    echo_udp(&socket);
}

pub fn echo_udp(socket: &UdpSocket) {
    let mut buffer = [0; 2000];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        buffer.make_ascii_uppercase();
        let _ = socket.send_to(&buffer[..length], client);
    }
}

pub fn ask_tcp(address: &str, text: &str) -> String {
    let asked = (|| {
        let address: SocketAddr = address.parse().expect("an address");
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(text.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard)?;
        Ok::<_, std::io::Error>(heard)
    })();
    asked.unwrap_or_else(|error| format!("error {:?}", error.kind()))
}

pub fn ask_udp(address: &str, text: &str) -> String {
    let asked = (|| {
        let address: SocketAddr = address.parse().expect("an address");
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut buffer = [0; 2000];
        let mut heard = String::new();
        // Twice: the first makes a conversation, the second goes through it.
        for part in [&text[..1], &text[1..]] {
            socket.send(part.as_bytes())?;
            let length = socket.recv(&mut buffer)?;
            heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        Ok::<_, std::io::Error>(heard)
    })();
    asked.unwrap_or_else(|error| format!("error {:?}", error.kind()))
}

/// As an ordinary program does it: a box lets all its groups ping.
fn ping(address: &str) -> String {
    let to = address.parse().expect("an address");
    let echo = Echo { from: to, to, tag: [0, 0, 0, 7], payload: b"ping".to_vec() };
    let pinged = (|| {
        let socket = icmp::ping(to)?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        icmp::forward(&socket, &echo)?;
        let mut packet = [0; 100];
        let length = socket.recv(&mut packet)?;
        Ok::<_, std::io::Error>(icmp::is_reply(&packet[..length], &echo))
    })();
    match pinged {
        Ok(true) => "pong".into(),
        Ok(false) => "another answer".into(),
        Err(error) => format!("error {:?}", error.kind()),
    }
}

fn ask_name(server: &str, name: &str, kind: &str) -> String {
    let mut question = Message::query();
    let kind: RecordType = kind.parse().expect("a type");
    question.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    let question = question.to_vec().expect("a message");
    let (transport, server) = server.split_once('/').expect("udp/… or tcp/…");
    let asked = if transport == "udp" { exchange_udp(server, &question) } else { exchange_tcp(server, &question) };
    match asked {
        Ok(answer) => {
            let answer = Message::from_vec(&answer).expect("a message");
            let data: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
            let cut = if answer.metadata.truncation { " truncated" } else { "" };
            format!("{}{cut} {}", answer.metadata.response_code, data.join(" "))
        }
        Err(error) => format!("error {:?}", error.kind()),
    }
}

fn exchange_udp(server: &str, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

fn exchange_tcp(server: &str, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&(question.len() as u16).to_be_bytes())?;
    stream.write_all(question)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

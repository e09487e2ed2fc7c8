//! What is said through a tunnel is heard, and so is its end.

use crate::far::{Line, line, numbers, publisher, request, wanted};
use devenv::model::{HostPort, Protocol};
use devenv::tunnel::Publisher;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and a tunnel to it.
struct Tunnel {
    server: TcpListener,
    port: u16,
    publisher: Publisher,
    line: Line,
}

async fn tunnel() -> Tunnel {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = line();
    let publisher = publisher(&line);
    // The server has its own number already, so the tunnel has another.
    let wished = request(HostPort::Preferred, server.local_addr().unwrap().port(), Protocol::Tcp);
    let published = publisher.set(&[wanted("dev", &[wished])]).await.unwrap();
    Tunnel { server, port: numbers(&published, "dev")[0], publisher, line }
}

impl Tunnel {
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(("127.0.0.1", self.port));
        let (client, accepted) = tokio::join!(client, self.server.accept());
        (client.unwrap(), accepted.unwrap().0)
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

#[tokio::test]
async fn a_side_that_has_said_all_still_hears_the_other() {
    let tunnel = tunnel().await;
    let (mut client, mut server) = tunnel.connect().await;
    let question: Vec<u8> = (0..3_u32 << 20).map(|at| (at / 7) as u8).collect();
    let asking = async {
        client.write_all(&question).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answering = async {
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, question);
        server.write_all(&heard).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (answer, ()) = in_time(async { tokio::join!(asking, answering) }).await;
    assert_eq!(answer, question);
}

#[tokio::test]
async fn a_reset_is_heard_as_a_reset_and_not_as_an_end() {
    let tunnel = tunnel().await;
    let (mut client, mut server) = tunnel.connect().await;
    server.write_all(b"half of").await.unwrap();
    let mut heard = [0; 7];
    in_time(client.read_exact(&mut heard)).await.unwrap();
    devenv::sys::socket::reset_on_close(&server);
    drop(server);
    assert_eq!(in_time(client.read(&mut heard)).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // And the other way.
    let (client, mut server) = tunnel.connect().await;
    devenv::sys::socket::reset_on_close(&client);
    drop(client);
    assert_eq!(in_time(server.read(&mut heard)).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn nobody_behind_the_port_is_a_reset() {
    let Tunnel { server, port, publisher: _publisher, line: _line } = tunnel().await;
    drop(server);
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(in_time(client.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_thousand_connections_at_once() {
    devenv::sys::socket::raise_descriptor_limit();
    const MANY: u32 = 1_000;
    let tunnel = tunnel().await;
    let mut pairs = Vec::new();
    for number in 0..MANY {
        let (mut client, server) = in_time(tunnel.connect()).await;
        client.write_u32(number).await.unwrap();
        pairs.push((client, server));
    }
    for (number, (client, server)) in (0..MANY).zip(&mut pairs) {
        assert_eq!(in_time(server.read_u32()).await.unwrap(), number);
        server.write_u32(number + 1).await.unwrap();
        assert_eq!(in_time(client.read_u32()).await.unwrap(), number + 1);
    }
}

#[tokio::test]
async fn one_that_does_not_read_holds_up_no_other() {
    let tunnel = tunnel().await;
    let (_deaf, mut talker) = tunnel.connect().await;
    let talking = tokio::spawn(async move { talker.write_all(&vec![0; 64 << 20]).await });
    let (mut client, mut server) = tunnel.connect().await;
    for _ in 0..100 {
        client.write_all(b"ping").await.unwrap();
        in_time(server.read_exact(&mut [0; 4])).await.unwrap();
    }
    assert!(!talking.is_finished());
    talking.abort();
}

#[tokio::test]
async fn connections_end_with_their_port_and_no_others_do() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = line();
    let publisher = publisher(&line);
    let wished = request(HostPort::Preferred, server.local_addr().unwrap().port(), Protocol::Tcp);
    let (a, b) = (wanted("a", &[wished]), wanted("b", &[wished]));
    let published = publisher.set(&[a.clone(), b]).await.unwrap();
    let [at_a, at_b] = ["a", "b"].map(|name| numbers(&published, name)[0]);
    let mut of_b = TcpStream::connect(("127.0.0.1", at_b)).await.unwrap();
    let (_server_b, _) = server.accept().await.unwrap();
    let mut of_a = TcpStream::connect(("127.0.0.1", at_a)).await.unwrap();
    let (mut server_a, _) = server.accept().await.unwrap();
    assert_eq!(numbers(&publisher.set(&[a]).await.unwrap(), "a"), [at_a]);
    assert_eq!(in_time(of_b.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    of_a.write_all(b"still").await.unwrap();
    in_time(server_a.read_exact(&mut [0; 5])).await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", at_b)).await.is_err());
}

#[tokio::test]
async fn a_dead_line_is_a_reset_and_a_new_one_serves_the_same_port() {
    let mut tunnel = tunnel().await;
    let (mut client, _server) = tunnel.connect().await;
    let dead = tunnel.line.lock().unwrap().take();
    drop(dead);
    assert_eq!(in_time(client.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut refused = TcpStream::connect(("127.0.0.1", tunnel.port)).await.unwrap();
    assert_eq!(in_time(refused.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let fresh = line().lock().unwrap().take();
    *tunnel.line.lock().unwrap() = fresh;
    let (mut client, mut server) = in_time(tunnel.connect()).await;
    client.write_all(b"again").await.unwrap();
    in_time(server.read_exact(&mut [0; 5])).await.unwrap();
    tunnel.publisher = publisher(&tunnel.line);
}

#[tokio::test]
async fn datagrams_go_there_and_back_each_sender_by_itself() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let publisher = publisher(&line());
    let wished = request(HostPort::Preferred, server.local_addr().unwrap().port(), Protocol::Udp);
    let published = publisher.set(&[wanted("dev", &[wished])]).await.unwrap();
    let port = numbers(&published, "dev")[0];
    tokio::spawn(async move {
        let mut buffer = [0; 65536];
        while let Ok((length, client)) = server.recv_from(&mut buffer).await {
            let _ = server.send_to(&buffer[..length], client).await;
        }
    });
    let mut clients = Vec::new();
    for number in 0..5u8 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(("127.0.0.1", port)).await.unwrap();
        // Longer and longer: a datagram stays one, also one of nothing.
        client.send(&vec![number; usize::from(number) * 15_000]).await.unwrap();
        clients.push(client);
    }
    let mut buffer = [0; 65536];
    for (number, client) in (0..5u8).zip(&clients) {
        let length = in_time(client.recv(&mut buffer)).await.unwrap();
        assert_eq!(buffer[..length], vec![number; usize::from(number) * 15_000]);
    }
}

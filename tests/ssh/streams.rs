//! Streams over the connection.

use super::pair::{CLOCK, Guest, PATIENCE};
use devenv::machine::ssh::Address;
use devenv::machine::{Line, clock};
use devenv::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use devenv::sys::framed::{read_document, write_document};
use devenv::sys::stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub async fn hello(stream: &mut Stream) -> Answer {
    write_document(stream, &Request::Hello).await.unwrap();
    timeout(PATIENCE, read_document(stream, LONGEST_DOCUMENT_BYTES)).await.expect("it answers").unwrap()
}

#[tokio::test]
async fn a_thousand_streams_at_once() {
    let guest = Guest::start().await;
    let line = guest.connect().await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let mut stream = line.open().await.unwrap();
        // Half a document: the other side waits, and all of them are open.
        stream.write_all(&[0, 0]).await.unwrap();
        streams.push(stream);
    }
    assert!(matches!(hello(&mut line.open().await.unwrap()).await, Answer::Hello { .. }));
    for mut stream in streams {
        let text = br#"{"ask":"hello"}"#;
        stream.write_all(&[0, text.len() as u8]).await.unwrap();
        stream.write_all(text).await.unwrap();
        let answer: Answer = read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.unwrap();
        assert!(matches!(answer, Answer::Hello { .. }));
    }
}

#[tokio::test]
async fn one_direction_may_end_before_the_other() {
    let guest = Guest::start().await;
    let line = guest.connect().await;
    let mut stream = line.open().await.unwrap();
    let text = br#"{"ask":"hello"}"#;
    stream.write_all(&(text.len() as u32).to_be_bytes()).await.unwrap();
    stream.write_all(text).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the other direction ends too").unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("hello"));
}

#[tokio::test]
async fn a_stream_of_noise_ends_alone() {
    let guest = Guest::start().await;
    let line = guest.connect().await;
    for noise in [&[0xff_u8; 64][..], b"\0\0\0\x02{}", b"\0\0\0\x01\xff", b"\0\x10\0\x01"] {
        let mut stream = line.open().await.unwrap();
        stream.write_all(noise).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // An answer that it was not understood, or nothing.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends");
    }
    assert!(matches!(hello(&mut line.open().await.unwrap()).await, Answer::Hello { .. }));
}

#[tokio::test]
async fn the_clock_and_the_timezone_arrive() {
    let guest = Guest::start().await;
    let line = guest.connect().await;
    clock::set(&line, Some("VFppZg==".into())).await.unwrap();
    let (nanoseconds, timezone) = CLOCK.lock().unwrap().expect("it was set");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    assert!((0..60_000_000_000).contains(&(now - nanoseconds)));
    assert_eq!(timezone, Some(8));
}

#[tokio::test]
async fn being_asked_to_end_is_heard_and_the_loss_is_told() {
    let guest = Guest::start().await;
    let line = guest.connect().await;
    line.switch_off().await.unwrap();
    timeout(PATIENCE, guest.door.switch_off.notified()).await.expect("it is heard");
    let other = guest.connect().await;
    drop(line);
    assert!(matches!(hello(&mut other.open().await.unwrap()).await, Answer::Hello { .. }));
}

#[tokio::test]
async fn who_loses_the_connection_is_told() {
    let guest = Guest::start().await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let inner = guest.address;
    let relay = tokio::spawn(async move {
        let (mut near, _) = proxy.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(inner).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let line = devenv::machine::ssh::connect(&Address::Tcp(address), &guest.client_key, &guest.host_key).await.unwrap();
    let mut stream = line.open().await.unwrap();
    hello(&mut stream).await;
    relay.abort();
    let why = timeout(PATIENCE, line.lost()).await.expect("it is noticed");
    assert!(!why.is_empty());
    assert!(line.open().await.is_err());
}

#[tokio::test]
async fn the_guest_is_reached_through_a_unix_socket_as_well() {
    let guest = Guest::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let door = guest.door.clone();
    tokio::spawn(async move { door.serve(listener.accept().await.unwrap().0, || ()).await });
    let address = Address::Unix(path);
    let line = devenv::machine::ssh::connect(&address, &guest.client_key, &guest.host_key).await.unwrap();
    assert!(matches!(hello(&mut line.open().await.unwrap()).await, Answer::Hello { .. }));
}

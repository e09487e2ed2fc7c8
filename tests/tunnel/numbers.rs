//! Which numbers ports get, and what changes when others do.

use crate::far::{line, numbers, publisher, request, wanted};
use devenv::model::HostPort::{Exactly, Preferred};
use devenv::model::{HostPort, PortRequest, Protocol};
use std::net::{TcpListener, TcpStream};

fn tcp(host: HostPort, box_port: u16) -> PortRequest {
    request(host, box_port, Protocol::Tcp)
}

/// A number that is free now, below those the kernel gives to whoever wants any.
fn free() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(21_000);
    loop {
        // A neighbour stays free for the next one up.
        let number = NEXT.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", number)).is_ok() && TcpListener::bind(("127.0.0.1", number + 1)).is_ok() {
            return number;
        }
    }
}

#[tokio::test]
async fn the_same_number_if_it_is_free_else_its_neighbour_and_that_is_told() {
    let (publisher, number) = (publisher(&line()), free());
    let held = TcpListener::bind(("127.0.0.1", number)).unwrap();
    let published = publisher.set(&[wanted("dev", &[tcp(Preferred, number)])]).await.unwrap();
    assert_eq!(numbers(&published, "dev"), [number + 1]);
    assert!(published.notes[0].contains("is taken on this computer"), "{:?}", published.notes);
    // It keeps its number when the first choice is free again, here and in a later life.
    drop(held);
    let mut again = wanted("dev", &[tcp(Preferred, number)]);
    assert_eq!(numbers(&publisher.set(std::slice::from_ref(&again)).await.unwrap(), "dev"), [number + 1]);
    again.remembered = published.ports.into_values().flatten().collect();
    publisher.close().await;
    let later = publisher.set(&[again]).await.unwrap();
    assert_eq!((numbers(&later, "dev"), later.notes), (vec![number + 1], vec![]));
}

#[tokio::test]
async fn a_number_that_is_insisted_on_and_taken_names_its_holder_and_changes_nothing() {
    let (publisher, number) = (publisher(&line()), free());
    let kept = wanted("web", &[tcp(Preferred, number + 1)]);
    publisher.set(std::slice::from_ref(&kept)).await.unwrap();
    let held = TcpListener::bind(("127.0.0.1", number)).unwrap();
    let refused = publisher.set(&[wanted("dev", &[tcp(Exactly(number), 80)])]).await.unwrap_err();
    let told = refused.chain().join(": ");
    let expected = format!("cannot publish port 80 of dev at 127.0.0.1 port {number} (tcp): it is held by");
    assert!(told.starts_with(&expected) && told.contains(&format!("process {}", std::process::id())), "{told}");
    assert!(TcpStream::connect(("127.0.0.1", number + 1)).is_ok());
    drop(held);
    let published = publisher.set(&[kept, wanted("dev", &[tcp(Exactly(number), 80)])]).await.unwrap();
    assert_eq!(numbers(&published, "dev"), [number]);
}

#[tokio::test]
async fn ports_listen_on_both_loopback_addresses_and_are_free_after_the_end() {
    let (publisher, number) = (publisher(&line()), free());
    publisher.set(&[wanted("dev", &[tcp(Preferred, number)]), wanted("quiet", &[])]).await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", number)).is_ok());
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(TcpStream::connect(("::1", number)).is_ok());
    }
    publisher.close().await;
    assert!(TcpStream::connect(("127.0.0.1", number)).is_err());
    TcpListener::bind(("127.0.0.1", number)).expect("the number is free");
}

#[tokio::test]
async fn a_box_that_comes_with_a_number_of_its_own_displaces_one_that_had_a_choice() {
    let (publisher, number) = (publisher(&line()), free());
    let first = wanted("a", &[tcp(Preferred, number)]);
    assert_eq!(numbers(&publisher.set(std::slice::from_ref(&first)).await.unwrap(), "a"), [number]);
    let both = publisher.set(&[first, wanted("b", &[tcp(Exactly(number), 80)])]).await.unwrap();
    assert_eq!((numbers(&both, "a"), numbers(&both, "b")), (vec![number + 1], vec![number]));
}

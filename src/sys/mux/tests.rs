use super::frame::{HEADER_BYTES, Header, Kind};
use super::state::{Entry, FIRST_WINDOW_BYTES, LONE_TURN_BYTES, Promised, Shared, TURN_BYTES};
use super::{Accepter, MuxStream, Opener, accept_over, open_over};
use futures_util::FutureExt;
use proptest::prelude::*;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("in time")
}

fn pair() -> (Opener, Accepter) {
    let (near, far) = duplex(4096);
    let ((near_reads, near_writes), (far_reads, far_writes)) = (split(near), split(far));
    (open_over(near_reads, near_writes), accept_over(far_reads, far_writes))
}

async fn stream_of((opener, accepter): &mut (Opener, Accepter)) -> (MuxStream, MuxStream) {
    (opener.open().unwrap(), in_time(accepter.accept()).await.unwrap())
}

/// A side whose other side is these tests.
fn accepter_by_hand() -> (Accepter, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    let (reads, writes) = split(near);
    (accept_over(reads, writes), far)
}

fn frame(kind: Kind, stream: u32, amount: u32) -> [u8; HEADER_BYTES] {
    Header { kind, amount, stream }.encode()
}

#[tokio::test]
async fn ends_and_resets_are_told_apart() {
    let mut both = pair();
    let (mut near, mut far) = stream_of(&mut both).await;
    near.write_all(b"last words").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(near.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut heard = String::new();
    in_time(far.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "last words");
    // The other direction goes on, and its reset is no end.
    far.write_all(b"half of").await.unwrap();
    in_time(near.read_exact(&mut [0; 7])).await.unwrap();
    drop(far);
    assert_eq!(in_time(near.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_came_before_an_end_is_heard_also_when_the_stream_is_then_dropped() {
    let mut both = pair();
    let (mut near, mut far) = stream_of(&mut both).await;
    far.write_all(b"all").await.unwrap();
    far.shutdown().await.unwrap();
    drop(far);
    let mut heard = String::new();
    in_time(near.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "all");
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_that_is_over_breaks_its_streams_and_says_why() {
    let mut both = pair();
    let (mut near, _far) = stream_of(&mut both).await;
    drop(both.1);
    assert_eq!(in_time(near.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(in_time(both.0.over()).await, "the other side has ended");
    assert!(both.0.open().is_err());
}

#[tokio::test]
async fn one_that_is_not_read_takes_no_more_than_its_window() {
    let mut both = pair();
    let (mut near, _deaf) = stream_of(&mut both).await;
    let mut taken = 0;
    while taken < FIRST_WINDOW_BYTES as usize {
        taken += in_time(near.write(&[0; 10_000])).await.unwrap();
    }
    assert_eq!(taken, FIRST_WINDOW_BYTES as usize);
    assert!(near.write(&[0]).now_or_never().is_none());
}

#[tokio::test]
async fn much_is_carried_by_many_at_once() {
    let (opener, mut accepter) = pair();
    tokio::spawn(async move {
        while let Some(stream) = accepter.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = split(stream);
                tokio::io::copy(&mut reads, &mut writes).await.unwrap();
                writes.shutdown().await.unwrap();
            });
        }
    });
    let talk = (0..50u8).map(|number| {
        let (mut reads, mut writes) = split(opener.open().unwrap());
        async move {
            let said = vec![number; 700_000];
            let mut heard = Vec::new();
            let saying = async {
                writes.write_all(&said).await.unwrap();
                writes.shutdown().await.unwrap();
            };
            let ((), read) = tokio::join!(saying, reads.read_to_end(&mut heard));
            read.unwrap();
            assert!(heard == said);
        }
    });
    in_time(futures_util::future::join_all(talk)).await;
}

/// How much each of `streams` may promise of a full socket, in this order, and afterwards those who had to wait.
fn promised_by(shared: &Shared, streams: &[u32]) -> Vec<(u32, usize)> {
    let socket = Arc::new(OwnedFd::from(std::io::pipe().unwrap().0));
    for stream in streams {
        shared.promise(*stream, &socket, 1 << 30, Waker::noop()).unwrap();
    }
    let (mut frames, mut promised) = (Vec::new(), Vec::new());
    shared.take_outgoing(&mut frames, &mut promised);
    promised.iter().map(|Promised { stream, length, .. }| (*stream, *length)).collect()
}

fn with_streams(count: u32) -> Shared {
    let shared = Shared::new(true);
    shared.lock().streams.extend((1..=count).map(|number| (number, Entry::default())));
    shared
}

#[test]
fn one_alone_takes_more_at_once_than_one_of_many() {
    let shared = with_streams(3);
    let first = promised_by(&shared, &[1, 2, 3]);
    assert_eq!(first[0], (1, LONE_TURN_BYTES));
    assert!(first.len() == 2 && first[1].0 == 2, "a turn was left for another: {first:?}");
    // The third had to wait: now each takes its turn, it first.
    assert_eq!(promised_by(&shared, &[3, 2]), [(3, TURN_BYTES), (2, TURN_BYTES)]);
    assert_eq!(promised_by(&shared, &[3]), [(3, LONE_TURN_BYTES)]);
}

#[test]
fn what_could_not_be_moved_is_not_promised() {
    let shared = with_streams(1);
    let all = FIRST_WINDOW_BYTES as usize - 1;
    assert_eq!(promised_by(&shared, &[1]), [(1, LONE_TURN_BYTES)]);
    let rest = vec![0; all - LONE_TURN_BYTES];
    assert_eq!(shared.send(1, &rest, Waker::noop()).unwrap(), Some(rest.len()));
    assert_eq!(promised_by(&shared, &[1]), []);
    // It is used for what is read.
    assert_eq!(shared.send(1, &[0; 5], Waker::noop()).unwrap(), Some(1));
}

#[tokio::test]
async fn more_than_the_window_ends_the_connection() {
    let (mut accepter, mut far) = accepter_by_hand();
    far.write_all(&frame(Kind::Open, 1, 0)).await.unwrap();
    let mut stream = in_time(accepter.accept()).await.unwrap();
    far.write_all(&frame(Kind::Data, 1, FIRST_WINDOW_BYTES + 1)).await.unwrap();
    let error = in_time(stream.read(&mut [0])).await.unwrap_err();
    assert!(error.to_string().contains("more than it may"), "{error}");
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    for nonsense in [
        [frame(Kind::Open, 1, 0), frame(Kind::Open, 1, 0)].concat(),
        [frame(Kind::Open, 1, 0), frame(Kind::End, 1, 0), frame(Kind::Data, 1, 5)].concat(),
        [&frame(Kind::Open, 1, 0)[..], &[frame(Kind::Credit, 1, 0xff_ffff); 300].concat()].concat(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        let (mut accepter, mut far) = accepter_by_hand();
        far.write_all(&nonsense).await.unwrap();
        let mut streams = Vec::new();
        while let Some(stream) = in_time(accepter.accept()).await {
            streams.push(stream);
        }
        assert!(accepter.shared.lock().over.is_some());
    }
}

#[tokio::test]
async fn the_opening_side_takes_no_streams() {
    let (near, mut far) = duplex(1024);
    let (reads, writes) = split(near);
    let opener = open_over(reads, writes);
    far.write_all(&frame(Kind::Open, 1, 0)).await.unwrap();
    assert!(in_time(opener.over()).await.contains("only this one may"));
}

/// Bytes that are mostly frames: streams 1 to 3, small amounts.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (0u8..7, 0u32..200, 0u32..4).prop_map(|(kind, amount, stream)| {
            let [_, high, middle, low] = amount.to_be_bytes();
            let [a, b, c, d] = stream.to_be_bytes();
            vec![kind, high, middle, low, a, b, c, d]
        }),
        proptest::collection::vec(any::<u8>(), 0..64),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in plausible()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut accepter, mut far) = accepter_by_hand();
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            while let Some(mut stream) = in_time(accepter.accept()).await {
                let _ = in_time(stream.write(b"x")).await;
                let _ = in_time(stream.read(&mut [0; 100])).await;
                if accepter.shared.lock().over.is_some() {
                    break;
                }
            }
            let (near, mut far) = duplex(1 << 20);
            let (reads, writes) = split(near);
            let opener = open_over(reads, writes);
            let mut stream = opener.open().unwrap();
            far.write_all(&bytes).await.unwrap();
            drop(far);
            let mut all = Vec::new();
            let _ = in_time(stream.read_to_end(&mut all)).await;
            in_time(opener.over()).await;
        });
    }
}

//! Taking connections as they come.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long to leave connections unaccepted when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {}
            // Out of descriptors or memory: connections wait in the backlog.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Accepts connections for ever and has each handled by a task of its own, which outlives this.
pub async fn accept_each<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    handle: impl Fn(TcpStream, SocketAddr) -> F,
) {
    loop {
        let (stream, client) = accept(listener).await;
        tokio::spawn(handle(stream, client));
    }
}

/// Accepts connections for ever and has each handled by a task of its own, which ends with this.
pub async fn accept_while_open<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    handle: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            (stream, client) = accept(listener) => drop(open.spawn(handle(stream, client))),
            Some(_) = open.join_next() => {}
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

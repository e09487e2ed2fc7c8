//! From a port of the host to a port of a box.

use super::relay::{self, Pipes};
use super::visit::visit;
use crate::model::Protocol;
use crate::sys::accept::accept_each;
use crate::sys::linux::netns::{Namespace, Visitor};
use crate::sys::linux::socket;
use crate::sys::socket::reset_on_close;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The port of a box, and how to get there.
#[derive(Clone)]
pub struct Target {
    pub visitor: Visitor,
    pub namespace: Namespace,
    pub address: Ipv4Addr,
    pub port: u16,
    pub pipes: Pipes,
}

impl Target {
    /// Where in the box a program may listen, the likeliest first.
    pub fn candidates(&self) -> [SocketAddr; 3] {
        let port = self.port;
        [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into(), (self.address, port).into()]
    }

    /// A connection of `protocol`, made inside the box. UDP: a socket for each candidate.
    ///
    /// # Errors
    /// Nobody listens at a TCP port, or the box is gone.
    pub async fn open(&self, protocol: Protocol) -> io::Result<Vec<OwnedFd>> {
        if protocol == Protocol::Tcp {
            return Ok(vec![self.connect().await?.into_std()?.into()]);
        }
        let candidates = self.candidates();
        let make = move || candidates.into_iter().map(socket::connected_udp).collect::<Vec<_>>();
        // An address the box does not have, such as ::1, is no candidate.
        let made = visit(&self.visitor, &self.namespace, move || Ok(make())).await?;
        Ok(made.into_iter().flatten().map(OwnedFd::from).collect())
    }

    /// # Errors
    /// Nobody listens: the last candidate's error.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut result = Err(io::ErrorKind::ConnectionRefused.into());
        for candidate in self.candidates() {
            result = match visit(&self.visitor, &self.namespace, move || socket::unconnected_tcp(candidate)).await {
                Ok(made) => TcpSocket::from_std_stream(made).connect(candidate).await,
                Err(error) => Err(error),
            };
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// Serves a listener until dropped.
pub async fn serve(listener: Arc<TcpListener>, target: Target) {
    let target = Arc::new(target);
    accept_each(&listener, |from_host, _| {
        let target = target.clone();
        async move {
            match target.connect().await {
                Ok(into_box) => relay::join(from_host, into_box, &target.pipes).await,
                Err(_) => reset_on_close(&from_host),
            }
        }
    })
    .await;
}

//! Sockets of the host that wait for whoever wants something of a box.

use crate::model::{PortAddress, Protocol};
use crate::sys::socket;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

/// Connections that may wait to be accepted: what the kernel allows at most by default (net.core.somaxconn).
const BACKLOG: i32 = 4096;
/// How often a free number on 127.0.0.1 may turn out to be taken on ::1.
const TRIES_FOR_BOTH: usize = 32;

/// Bound sockets that came from somebody who may bind what this process may not (ports below 1024).
#[derive(Default)]
pub struct Given(Vec<(SocketAddr, Protocol, OwnedFd)>);

impl Given {
    /// Keeps those of `descriptors` that are bound TCP or UDP sockets.
    pub fn new(descriptors: Vec<OwnedFd>) -> Given {
        let known = descriptors.into_iter().filter_map(|descriptor| {
            let protocol = if socket::is_stream(&descriptor).ok()? { Protocol::Tcp } else { Protocol::Udp };
            let bound = std::net::UdpSocket::from(descriptor);
            let address = bound.local_addr().ok()?;
            Some((address, protocol, bound.into()))
        });
        Given(known.collect())
    }

    fn take(&mut self, address: SocketAddr, protocol: Protocol) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(at, kind, _)| *at == address && *kind == protocol)?;
        Some(self.0.swap_remove(at).2)
    }
}

/// One listening socket.
#[derive(Clone)]
pub enum Listener {
    Tcp(Arc<TcpListener>),
    Udp(Arc<UdpSocket>),
}

/// The sockets of one published port.
#[derive(Clone)]
pub struct Bound {
    pub port: u16,
    pub listeners: Vec<Listener>,
}

/// Binds and listens. Port 0 means any free one.
///
/// # Errors
/// As `bind(2)`: `AddrInUse`, `PermissionDenied` (below 1024), `AddrNotAvailable`.
pub fn bind(address: PortAddress, port: u16, protocol: Protocol, given: &mut Given) -> io::Result<Bound> {
    match address {
        PortAddress::Address(address) => {
            let (port, listener) = bind_one(address, port, protocol, given)?;
            Ok(Bound { port, listeners: vec![listener] })
        }
        PortAddress::Loopback if port == 0 => {
            let mut tries = (0..TRIES_FOR_BOTH).map(|_| bind_loopback(0, protocol, given));
            let settled = |tried: &io::Result<Bound>| {
                tried.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::AddrInUse)
            };
            tries.find(settled).unwrap_or_else(|| Err(ErrorKind::AddrInUse.into()))
        }
        PortAddress::Loopback => bind_loopback(port, protocol, given),
    }
}

fn bind_loopback(port: u16, protocol: Protocol, given: &mut Given) -> io::Result<Bound> {
    let (port, v4) = bind_one(Ipv4Addr::LOCALHOST.into(), port, protocol, given)?;
    let mut listeners = vec![v4];
    match bind_one(Ipv6Addr::LOCALHOST.into(), port, protocol, given) {
        Ok((_, v6)) => listeners.push(v6),
        Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
        // This host has no IPv6.
        Err(_) => {}
    }
    Ok(Bound { port, listeners })
}

fn bind_one(address: IpAddr, port: u16, protocol: Protocol, given: &mut Given) -> io::Result<(u16, Listener)> {
    let address = SocketAddr::new(address, port);
    let given = given.take(address, protocol);
    match protocol {
        Protocol::Tcp => {
            let listener = given.map_or_else(|| socket::bound_tcp(address), |fd| Ok(fd.into()))?;
            listener.set_nonblocking(true)?;
            socket::listen(&listener, BACKLOG)?;
            let port = listener.local_addr()?.port();
            Ok((port, Listener::Tcp(Arc::new(TcpListener::from_std(listener)?))))
        }
        Protocol::Udp => {
            let socket = given.map_or_else(|| socket::bound_udp(address), |fd| Ok(fd.into()))?;
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            Ok((port, Listener::Udp(Arc::new(UdpSocket::from_std(socket)?))))
        }
    }
}

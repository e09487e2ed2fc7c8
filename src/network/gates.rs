//! The router's sockets: those boxes ask for names, and those that packet rules bring their traffic to the outside to.

use super::address::Subnet;
use super::ping;
use crate::sys::linux::icmp;
use crate::sys::linux::link::{self, Links};
use crate::sys::linux::nft::{Network, Rules};
use crate::sys::linux::socket::transparent_udp;
use crate::sys::socket::{bound_tcp, bound_udp, listen};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Our sockets in the router's namespace. Nothing else lives there, so the numbers are free.
const DNS_PORT: u16 = 53;
const EGRESS_PORT: u16 = 60_001;
/// Where nothing listens: connections sent there are refused.
const CLOSED_PORT: u16 = 60_002;
/// Firewall mark and routing table of what is to be delivered to our sockets.
const MARK: u8 = 1;
const BACKLOG: i32 = 4096;

/// The sockets, not served yet.
pub struct Gates {
    pub names: (TcpListener, UdpSocket),
    /// `Err`: this kernel cannot redirect connections.
    pub connections: io::Result<TcpListener>,
    /// `Err`: this kernel has no transparent proxying.
    pub datagrams: io::Result<UdpSocket>,
    /// `None` where this user may not ping: boxes may not either.
    pub pings: Option<UdpSocket>,
}

impl Gates {
    /// Opens them; the calling thread is in the router's namespace. `taken_over`: an earlier process may have left
    /// rules there.
    ///
    /// # Errors
    /// The name server's address is not there.
    pub fn open(subnet: Subnet, links: &Links, taken_over: bool) -> io::Result<Gates> {
        let gateway = SocketAddr::from((subnet.gateway(), DNS_PORT));
        let listener = bound_tcp(gateway)?;
        listen(&listener, BACKLOG)?;
        let names = (listener, bound_udp(gateway)?);
        let inside = Network { address: subnet.address, prefix: subnet.prefix };
        let rules = match Rules::open(taken_over) {
            Ok(rules) => rules,
            Err(error) => {
                let again = io::Error::from(error.kind());
                return Ok(Gates { names, connections: Err(error), datagrams: Err(again), pings: None });
            }
        };
        let routed = link::deliver_marked_here(MARK).into_iter().try_for_each(|change| links.ensure(change));
        let datagrams = routed.and_then(|()| open_for_datagrams(&rules, inside));
        let pings = if ping::is_allowed() { open_for_pings(&rules, inside).ok() } else { None };
        Ok(Gates { names, connections: open_for_connections(&rules, inside), datagrams, pings })
    }
}

fn open_for_connections(rules: &Rules, inside: Network) -> io::Result<TcpListener> {
    rules.redirect_tcp("egress-tcp", inside, EGRESS_PORT, CLOSED_PORT)?;
    let listener = bound_tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, EGRESS_PORT)))?;
    listen(&listener, BACKLOG)?;
    Ok(listener)
}

fn open_for_datagrams(rules: &Rules, inside: Network) -> io::Result<UdpSocket> {
    rules.capture_udp("egress-udp", inside, EGRESS_PORT, MARK)?;
    transparent_udp(EGRESS_PORT)
}

fn open_for_pings(rules: &Rules, inside: Network) -> io::Result<UdpSocket> {
    let heard = icmp::hear_all()?;
    // Otherwise the kernel answers itself, for addresses of others, too.
    fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1")?;
    rules.mark_icmp("egress-icmp", inside, MARK)?;
    Ok(heard)
}

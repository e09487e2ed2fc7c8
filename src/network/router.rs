//! The router of a project: a namespace with a bridge every box is plugged into, the name server, and the way out.

use super::address::Subnet;
use super::dns::NameServer;
use super::egress;
use super::gates::Gates;
use super::inside;
use super::names::Names;
use super::ping;
use super::relay::Pipes;
use super::steered::SteeredSocket;
use super::visit::visit;
use crate::model::{BoxName, Failure, Result, Trying};
use crate::sys::linux::link::{self, FIRST_INDEX, LOOPBACK, Link, Links};
use crate::sys::linux::netns::{Namespace, Visitor};
use crate::sys::linux::nft::Network;
use crate::sys::socket::{bound_tcp, listen};
use crate::sys::task::Task;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::{TcpListener, UdpSocket};

const BRIDGE: &str = "br0";
const BACKLOG: i32 = 4096;

/// A box's place at the router.
#[derive(Debug, Clone)]
pub struct Plugged {
    /// Name of the router's end of its pair of interfaces.
    pub link: String,
    pub name: BoxName,
    pub address: Ipv4Addr,
}

pub struct Router {
    visitor: Visitor,
    pub namespace: Namespace,
    pub subnet: Subnet,
    server: NameServer,
    /// The interfaces of its namespace, and the index of the bridge among them.
    links: Arc<Links>,
    bridge: u32,
    /// Number of the next interface.
    next_link: u32,
    /// What does not work on this kernel.
    pub notes: Vec<String>,
    serving: Vec<Task>,
    /// Ports that lead to this computer's loopback.
    doors: BTreeMap<u16, Task>,
}

impl Router {
    /// Makes one in a new namespace.
    ///
    /// # Errors
    /// The kernel has no bridges for us.
    pub async fn make(visitor: &Visitor, namespace: Namespace, subnet: Subnet, pipes: &Pipes) -> Result<Router> {
        let make = move || {
            let links = make_bridge(subnet)?;
            Ok((Gates::open(subnet, &links, false)?, links))
        };
        let made = visit(visitor, &namespace, make).await.trying(|| "cannot make the project's network");
        let (gates, links) = made.map_err(|failure| failure.hint("`devenv doctor` tells what this kernel lacks"))?;
        Router::bare(visitor, namespace, subnet, links, FIRST_INDEX).serve(gates, pipes)
    }

    fn bare(visitor: &Visitor, namespace: Namespace, subnet: Subnet, links: Links, bridge: u32) -> Router {
        let names = Arc::new(RwLock::new(Names { subnet, boxes: BTreeMap::new() }));
        Router {
            visitor: visitor.clone(),
            namespace,
            subnet,
            server: NameServer { names, resolvers: Arc::default() },
            links: Arc::new(links),
            bridge,
            next_link: 0,
            notes: Vec::new(),
            serving: Vec::new(),
            doors: BTreeMap::new(),
        }
    }

    /// Takes over the one in `namespace` that an earlier process made, with what is plugged into it.
    ///
    /// # Errors
    /// There is none in there.
    pub async fn take_over(visitor: &Visitor, namespace: Namespace, pipes: &Pipes) -> Result<(Router, Vec<Plugged>)> {
        let look = || {
            let links = Links::open()?;
            let there = links.list()?;
            let bridge = there.iter().find(|link| link.name == BRIDGE);
            let found = bridge.and_then(|link| Some((link.index, read_subnet(link.alias.as_deref()?)?)));
            let gates = found.map(|(_, subnet)| Gates::open(subnet, &links, true)).transpose()?;
            Ok((links, there, found.zip(gates)))
        };
        let looked = visit(visitor, &namespace, look).await;
        let (links, there, found) = looked.trying(|| "cannot look into the network of the boxes that run")?;
        let ((bridge, subnet), gates) =
            found.ok_or_else(|| Failure::new("the boxes that run have no network of ours"))?;
        let numbers = there.iter().filter_map(|link| link.name.strip_prefix('v')?.parse::<u32>().ok());
        let next_link = numbers.max().map_or(0, |highest| highest + 1);
        let router = Router { next_link, ..Router::bare(visitor, namespace, subnet, links, bridge) };
        Ok((router.serve(gates, pipes)?, there.iter().filter_map(read_plugged).collect()))
    }

    /// Starts the name server and the ways out.
    fn serve(mut self, gates: Gates, pipes: &Pipes) -> Result<Router> {
        let inside = Network { address: self.subnet.address, prefix: self.subnet.prefix };
        let server = &self.server;
        let names = (|| {
            let listener = Task::start(server.clone().serve_tcp(TcpListener::from_std(gates.names.0)?));
            io::Result::Ok([listener, Task::start(server.clone().serve_udp(UdpSocket::from_std(gates.names.1)?))])
        })();
        self.serving.extend(names.trying(|| "cannot start the project's name server")?);
        let connections = gates.connections.and_then(TcpListener::from_std);
        match connections.map(|listener| Task::start(egress::serve_tcp(listener, inside, pipes.clone()))) {
            Ok(task) => self.serving.push(task),
            Err(error) => self.notes.push(format!(
                "boxes cannot connect to the outside: this kernel refuses to redirect connections ({error}); \
                 between boxes and through published ports the network works"
            )),
        }
        let (visitor, namespace) = (self.visitor.clone(), self.namespace.clone());
        let datagrams = gates.datagrams.and_then(SteeredSocket::new);
        match datagrams.map(|steered| Task::start(egress::serve_udp(steered, inside, visitor, namespace))) {
            Ok(task) => self.serving.push(task),
            Err(error) => self.notes.push(format!(
                "boxes cannot send UDP to the outside, except questions for names: this kernel refuses \
                 transparent proxying ({error})"
            )),
        }
        // Without it no note, since programs rarely need it.
        if let Some(Ok(heard)) = gates.pings.map(UdpSocket::from_std) {
            self.serving.push(Task::start(ping::serve(heard, self.subnet.gateway(), inside)));
        }
        Ok(self)
    }

    /// Plugs in the box whose namespace this is.
    ///
    /// # Errors
    /// The kernel refuses; nothing is left then.
    pub async fn plug(&mut self, name: &BoxName, address: Ipv4Addr, namespace: &Namespace) -> Result<Plugged> {
        let link = format!("v{}", self.next_link);
        self.next_link += 1;
        let plugged = Plugged { link, name: name.clone(), address };
        let done = self.plug_as(&plugged, namespace).await;
        done.trying(|| format!("cannot connect box {name}"))?;
        Ok(plugged)
    }

    async fn plug_as(&self, plugged: &Plugged, namespace: &Namespace) -> io::Result<()> {
        let (links, bridge, descriptor) = (self.links.clone(), self.bridge, namespace.to_descriptor()?);
        let (link, alias) = (plugged.link.clone(), format!("{} {}", plugged.name, plugged.address));
        let (address, prefix, gateway) = (plugged.address, self.subnet.prefix, self.subnet.gateway());
        // The interfaces of the router are reached through `links`, whichever namespace the thread is in.
        let in_box = move || {
            inside::prepare();
            inside::plug(&links, &link, &alias, bridge, &descriptor)?;
            let connected = inside::connect(address, prefix, gateway);
            connected.inspect_err(|_| drop(links.change([link::delete(&link)])))
        };
        visit(&self.visitor, namespace, in_box).await
    }

    /// Unplugs a box.
    pub async fn unplug(&self, plugged: &Plugged) {
        let link = plugged.link.clone();
        // Gone already is as good: its namespace may have ended with the last process in it.
        let links = self.links.clone();
        let _ = visit(&self.visitor, &self.namespace, move || links.change([link::delete(&link)])).await;
    }

    /// Has just these ports of the router's address lead to this computer's loopback. Returns what there is to tell.
    pub async fn set_loopback_ports(&mut self, ports: &[u16], pipes: &Pipes) -> Vec<String> {
        self.doors.retain(|port, _| ports.contains(port));
        let mut notes = Vec::new();
        for port in ports.iter().filter(|port| !self.doors.contains_key(port)).copied().collect::<Vec<u16>>() {
            let at = SocketAddr::from((self.subnet.gateway(), port));
            let opened = visit(&self.visitor, &self.namespace, move || {
                let listener = bound_tcp(at)?;
                listen(&listener, BACKLOG)?;
                Ok(listener)
            });
            match opened.await.and_then(TcpListener::from_std) {
                Ok(listener) => {
                    self.doors.insert(port, Task::start(egress::serve_loopback(listener, port, pipes.clone())));
                }
                Err(error) => {
                    notes.push(format!("boxes cannot reach the proxy at port {port} of this computer: {error}"))
                }
            }
        }
        notes
    }

    /// Has the name server know these boxes, and ask these resolvers (none: the host's) for all else.
    pub fn set_names(&self, boxes: BTreeMap<BoxName, Ipv4Addr>, resolvers: &[IpAddr]) {
        self.server.names.write().unwrap_or_else(PoisonError::into_inner).boxes = boxes;
        self.server.resolvers.set(resolvers);
    }
}

fn make_bridge(subnet: Subnet) -> io::Result<Links> {
    // Packets between boxes need not pass the rules that are for packets to the outside. Without the module
    // br_netfilter there is no such setting, and they do not.
    let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let links = Links::open()?;
    // 02: administered locally (IEEE 802); the rest only has to differ from the boxes'.
    let [a, b, c, d] = subnet.gateway().octets();
    links.change([
        link::up(LOOPBACK),
        link::bridge(BRIDGE, FIRST_INDEX, [2, 0, a, b, c, d]),
        link::address(FIRST_INDEX, subnet.gateway(), subnet.prefix),
        link::alias(BRIDGE, &format!("{}/{}", subnet.address, subnet.prefix)),
    ])?;
    Ok(links)
}

fn read_subnet(alias: &str) -> Option<Subnet> {
    let (address, prefix) = alias.split_once('/')?;
    Some(Subnet { address: address.parse().ok()?, prefix: prefix.parse().ok()? })
}

fn read_plugged(link: &Link) -> Option<Plugged> {
    let (name, address) = link.alias.as_deref()?.split_once(' ')?;
    Some(Plugged { link: link.name.clone(), name: BoxName::new(name).ok()?, address: address.parse().ok()? })
}

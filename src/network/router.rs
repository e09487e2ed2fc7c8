//! The router of a project: a namespace with a bridge every box is plugged into, the name server, and the way out.

use super::address::Subnet;
use super::dns::NameServer;
use super::egress;
use super::inside;
use super::names::Names;
use super::ping;
use super::relay::Pipes;
use super::steered::SteeredSocket;
use super::visit::{create, visit};
use crate::model::{BoxName, Failure, Result, Trying};
use crate::sys::linux::icmp;
use crate::sys::linux::link::{LOOPBACK, Link, Links};
use crate::sys::linux::netns::{Namespace, Visitor};
use crate::sys::linux::nft::{self, Network};
use crate::sys::linux::socket;
use crate::sys::socket::{bound_tcp, bound_udp, listen};
use crate::sys::task::Task;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::{TcpListener, UdpSocket};

const BRIDGE: &str = "br0";
/// Our sockets in the router's namespace. Nothing else lives there, so the numbers are free.
const DNS_PORT: u16 = 53;
const EGRESS_PORT: u16 = 60_001;
/// Where nothing listens: connections sent there are refused.
const CLOSED_PORT: u16 = 60_002;
/// Firewall mark and routing table of what is to be delivered to our sockets.
const MARK: u8 = 1;
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
    /// Number of the next interface.
    next_link: u32,
    /// What does not work on this kernel.
    pub notes: Vec<String>,
    _serving: Vec<Task>,
}

impl Router {
    /// Makes one.
    ///
    /// # Errors
    /// The kernel has no namespaces for us, or no bridges.
    pub async fn make(visitor: &Visitor, subnet: Subnet, pipes: &Pipes) -> Result<Router> {
        let (namespace, ()) = create(visitor, move || make_bridge(subnet))
            .await
            .trying(|| "cannot make the project's network")
            .map_err(|failure| failure.hint("`devenv doctor` tells what this kernel lacks"))?;
        Router::serve(visitor, namespace, subnet, 0, pipes).await
    }

    /// Takes over the one in `namespace` that an earlier process made, with what is plugged into it.
    ///
    /// # Errors
    /// There is none in there.
    pub async fn take_over(visitor: &Visitor, namespace: Namespace, pipes: &Pipes) -> Result<(Router, Vec<Plugged>)> {
        let links = visit(visitor, &namespace, || Links::open()?.list()).await;
        let links = links.trying(|| "cannot look into the network of the boxes that run")?;
        let bridge = links.iter().find(|link| link.name == BRIDGE).and_then(|link| link.alias.as_deref());
        let Some(subnet) = bridge.and_then(read_subnet) else {
            return Err(Failure::new("the boxes that run have no network of ours"));
        };
        let numbers = links.iter().filter_map(|link| link.name.strip_prefix('v')?.parse::<u32>().ok());
        let next_link = numbers.max().map_or(0, |highest| highest + 1);
        let router = Router::serve(visitor, namespace, subnet, next_link, pipes).await?;
        Ok((router, links.iter().filter_map(read_plugged).collect()))
    }

    async fn serve(
        visitor: &Visitor,
        namespace: Namespace,
        subnet: Subnet,
        next_link: u32,
        pipes: &Pipes,
    ) -> Result<Router> {
        let names = Arc::new(RwLock::new(Names { subnet, boxes: BTreeMap::new() }));
        let server = NameServer { names, resolvers: Arc::default() };
        let gateway = SocketAddr::from((subnet.gateway(), DNS_PORT));
        let sockets = visit(visitor, &namespace, move || {
            let listener = bound_tcp(gateway)?;
            listen(&listener, BACKLOG)?;
            Ok((listener, bound_udp(gateway)?))
        });
        let (listener, socket) = sockets.await.trying(|| "cannot start the project's name server")?;
        let started = (|| Ok::<_, io::Error>((TcpListener::from_std(listener)?, UdpSocket::from_std(socket)?)))();
        let (listener, socket) = started.trying(|| "cannot start the project's name server")?;
        let mut serving =
            vec![Task::start(server.clone().serve_tcp(listener)), Task::start(server.clone().serve_udp(socket))];
        let mut notes = Vec::new();
        match open_tcp_egress(visitor, &namespace, subnet, pipes).await {
            Ok(task) => serving.push(task),
            Err(error) => notes.push(format!(
                "boxes cannot connect to the outside: this kernel refuses to redirect connections ({error}); \
                 between boxes and through published ports the network works"
            )),
        }
        match open_udp_egress(visitor, &namespace, subnet).await {
            Ok(task) => serving.push(task),
            Err(error) => notes.push(format!(
                "boxes cannot send UDP to the outside, except questions for names: this kernel refuses \
                 transparent proxying ({error})"
            )),
        }
        // Where this user may not ping, boxes may not either: no note, since programs rarely need it.
        if ping::is_allowed()
            && let Ok(task) = open_ping(visitor, &namespace, subnet).await
        {
            serving.push(task);
        }
        Ok(Router { visitor: visitor.clone(), namespace, subnet, server, next_link, notes, _serving: serving })
    }

    /// Makes a namespace for a box and plugs it in.
    ///
    /// # Errors
    /// The kernel refuses; nothing is left then.
    pub async fn plug(&mut self, name: &BoxName, address: Ipv4Addr) -> Result<(Plugged, Namespace)> {
        let link = format!("v{}", self.next_link);
        self.next_link += 1;
        let plugged = Plugged { link: link.clone(), name: name.clone(), address };
        self.plug_as(&plugged)
            .await
            .map(|namespace| (plugged, namespace))
            .trying(|| format!("cannot connect box {name}"))
    }

    async fn plug_as(&self, plugged: &Plugged) -> io::Result<Namespace> {
        let (namespace, ()) = create(&self.visitor, inside::prepare).await?;
        let (link, alias) = (plugged.link.clone(), format!("{} {}", plugged.name, plugged.address));
        let descriptor = namespace.to_descriptor()?;
        let in_router = move || inside::plug(&link, &alias, BRIDGE, &descriptor);
        visit(&self.visitor, &self.namespace, in_router).await?;
        let (address, prefix, gateway) = (plugged.address, self.subnet.prefix, self.subnet.gateway());
        let connected = visit(&self.visitor, &namespace, move || inside::connect(address, prefix, gateway)).await;
        if let Err(error) = connected {
            self.unplug(plugged).await;
            return Err(error);
        }
        Ok(namespace)
    }

    /// Unplugs a box.
    pub async fn unplug(&self, plugged: &Plugged) {
        let link = plugged.link.clone();
        // Gone already is as good: its namespace may have ended with the last process in it.
        let _ = visit(&self.visitor, &self.namespace, move || Links::open()?.delete(&link)).await;
    }

    /// Has the name server know these boxes, and ask these resolvers (none: the host's) for all else.
    pub fn set_names(&self, boxes: BTreeMap<BoxName, Ipv4Addr>, resolvers: &[IpAddr]) {
        self.server.names.write().unwrap_or_else(PoisonError::into_inner).boxes = boxes;
        self.server.resolvers.set(resolvers);
    }
}

fn make_bridge(subnet: Subnet) -> io::Result<()> {
    // Packets between boxes need not pass the rules that are for packets to the outside. Without the module
    // br_netfilter there is no such setting, and they do not.
    let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let links = Links::open()?;
    links.set_up(LOOPBACK)?;
    // 02: administered locally (IEEE 802); the rest only has to differ from the boxes'.
    let [a, b, c, d] = subnet.gateway().octets();
    links.add_bridge(BRIDGE, [2, 0, a, b, c, d])?;
    let bridge = links.index_of(BRIDGE)?;
    links.add_address(bridge, subnet.gateway(), subnet.prefix)?;
    links.set_alias(BRIDGE, &format!("{}/{}", subnet.address, subnet.prefix))?;
    links.set_up(bridge)
}

async fn open_tcp_egress(visitor: &Visitor, namespace: &Namespace, subnet: Subnet, pipes: &Pipes) -> io::Result<Task> {
    let inside = Network { address: subnet.address, prefix: subnet.prefix };
    let listener = visit(visitor, namespace, move || {
        nft::redirect_tcp("egress-tcp", inside, EGRESS_PORT, CLOSED_PORT)?;
        let listener = bound_tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, EGRESS_PORT)))?;
        listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    Ok(Task::start(egress::serve_tcp(TcpListener::from_std(listener.await?)?, inside, pipes.clone())))
}

async fn open_udp_egress(visitor: &Visitor, namespace: &Namespace, subnet: Subnet) -> io::Result<Task> {
    let inside = Network { address: subnet.address, prefix: subnet.prefix };
    let socket = visit(visitor, namespace, move || {
        Links::open()?.deliver_marked_here(MARK)?;
        nft::capture_udp("egress-udp", inside, EGRESS_PORT, MARK)?;
        socket::transparent_udp(EGRESS_PORT)
    });
    let steered = SteeredSocket::new(socket.await?)?;
    Ok(Task::start(egress::serve_udp(steered, inside, visitor.clone(), namespace.clone())))
}

async fn open_ping(visitor: &Visitor, namespace: &Namespace, subnet: Subnet) -> io::Result<Task> {
    let inside = Network { address: subnet.address, prefix: subnet.prefix };
    let heard = visit(visitor, namespace, move || {
        Links::open()?.deliver_marked_here(MARK)?;
        let heard = icmp::hear_all()?;
        // Otherwise the kernel answers itself, for addresses of others, too.
        fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1")?;
        nft::mark_icmp("egress-icmp", inside, MARK)?;
        Ok(heard)
    });
    Ok(Task::start(ping::serve(UdpSocket::from_std(heard.await?)?, subnet.gateway(), inside)))
}

fn read_subnet(alias: &str) -> Option<Subnet> {
    let (address, prefix) = alias.split_once('/')?;
    Some(Subnet { address: address.parse().ok()?, prefix: prefix.parse().ok()? })
}

fn read_plugged(link: &Link) -> Option<Plugged> {
    let (name, address) = link.alias.as_deref()?.split_once(' ')?;
    Some(Plugged { link: link.name.clone(), name: BoxName::new(name).ok()?, address: address.parse().ok()? })
}

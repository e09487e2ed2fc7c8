//! Network interfaces, addresses and routes of the calling thread's network namespace (`rtnetlink(7)`).

use super::netlink::{ACKNOWLEDGE, CREATE, CREATE_NEW, DUMP, Message, Netlink, attributes};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

// linux/rtnetlink.h
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_RULE: u16 = 32;
// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
/// `IFF_UP`
const UP: u32 = 1;
const AF_INET: u8 = libc::AF_INET as u8;

/// The loopback interface is the first of every namespace.
pub const LOOPBACK: u32 = 1;

/// An interface as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// Free text a program left on it (`ip link set alias`).
    pub alias: Option<String>,
}

/// Index for the first interface that is made in a namespace: chosen by us, so that one change can make it and the next
/// name it.
/// Some kernels put interfaces of their own into new namespaces (sit0, tunl0), with low numbers.
pub const FIRST_INDEX: u32 = 1000;

/// The interfaces of a namespace.
pub struct Links(Netlink);

impl Links {
    /// Those of the calling thread's namespace, now and later.
    ///
    /// # Errors
    /// As `socket(2)`.
    pub fn open() -> io::Result<Links> {
        Ok(Links(Netlink::route()?))
    }

    /// All of them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn list(&self) -> io::Result<Vec<Link>> {
        let mut found = Vec::new();
        self.0.dump(interface(Message::new(GET_LINK, DUMP), 0, 0), |body| found.extend(read_link(body)))?;
        Ok(found)
    }

    /// The index of the interface called `name`, in the calling thread's namespace.
    ///
    /// # Errors
    /// There is none.
    pub fn index_of(name: &str) -> io::Result<u32> {
        Ok(nix::net::if_::if_nametoindex(name)?)
    }

    /// Carries out changes in order, in one message to the kernel. After a refusal it goes on with those behind.
    ///
    /// # Errors
    /// The kernel's first refusal.
    pub fn change(&self, changes: impl IntoIterator<Item = Change>) -> io::Result<()> {
        self.0.requests(changes.into_iter().map(|change| change.0).collect())
    }

    /// As [`Links::change`], where what is to be made may be there already.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn ensure(&self, change: Change) -> io::Result<()> {
        match self.change([change]) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }
}

/// A change of interfaces, addresses or routes.
pub struct Change(Message);

/// Switches an interface on.
pub fn up(index: u32) -> Change {
    Change(interface(Message::new(NEW_LINK, ACKNOWLEDGE), index, UP))
}

/// Makes a bridge, on, with a hardware address of its own: otherwise it is the lowest of its ports' and changes as they
/// come and go, while neighbours remember the old one. `EOPNOTSUPP`: the kernel has none.
pub fn bridge(name: &str, index: u32, hardware: [u8; 6]) -> Change {
    Change(
        interface(Message::new(NEW_LINK, ACKNOWLEDGE | CREATE_NEW), index, UP)
            .attribute(IFLA_ADDRESS, &hardware)
            .text(IFLA_IFNAME, name)
            .nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge")),
    )
}

/// Makes a pair of interfaces: `name`, on, a port of the bridge with index `bridge`; and `peer` in the namespace
/// `peer_namespace`, off: no end can be on before the other is there. One request, so that nothing is half there. `EEXIST`: the name is
/// taken. `EXFULL`: the bridge has its 1,023 ports.
pub fn veth(name: &str, bridge: u32, peer: &str, peer_namespace: BorrowedFd<'_>) -> Change {
    let namespace = peer_namespace.as_raw_fd().to_ne_bytes();
    Change(
        interface(Message::new(NEW_LINK, ACKNOWLEDGE | CREATE_NEW), 0, UP)
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_MASTER, &bridge.to_ne_bytes())
            .nest(IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |end| {
                        end.raw(&interface_header(0, 0)).text(IFLA_IFNAME, peer).attribute(IFLA_NET_NS_FD, &namespace)
                    })
                })
            }),
    )
}

/// Leaves free text on an interface, at most 255 bytes.
pub fn alias(name: &str, alias: &str) -> Change {
    Change(
        interface(Message::new(NEW_LINK, ACKNOWLEDGE), 0, 0)
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_IFALIAS, alias.as_bytes()),
    )
}

/// Deletes an interface, with its peer if it has one.
pub fn delete(name: &str) -> Change {
    Change(interface(Message::new(DELETE_LINK, ACKNOWLEDGE), 0, 0).text(IFLA_IFNAME, name))
}

/// Gives an interface an address. `EEXIST`: it has it.
pub fn address(index: u32, address: Ipv4Addr, prefix: u8) -> Change {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut header = [AF_INET, prefix, 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let octets = address.octets();
    // IFA_LOCAL 2, IFA_ADDRESS 1
    let message = Message::new(NEW_ADDRESS, ACKNOWLEDGE | CREATE_NEW).raw(&header);
    Change(message.attribute(2, &octets).attribute(1, &octets))
}

/// Adds the default route. `ENETUNREACH`: the gateway is not on any link.
pub fn default_route(gateway: Ipv4Addr) -> Change {
    // struct rtmsg: family, destination and source length, TOS, table 254 (main), protocol 3 (boot), scope 0
    // (universe), type 1 (unicast), flags. RTA_GATEWAY 5.
    let header = [AF_INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let message = Message::new(NEW_ROUTE, ACKNOWLEDGE | CREATE_NEW).raw(&header);
    Change(message.attribute(5, &gateway.octets()))
}

/// Has packets with the firewall mark `mark` delivered to this namespace whatever their destination is: a rule and a
/// local route in the routing table of the same number. `EOPNOTSUPP`: the kernel has no policy routing.
pub fn deliver_marked_here(mark: u8) -> [Change; 2] {
    // As above, with type 2 (local) and scope 254 (link). RTA_OIF 4.
    let header = [AF_INET, 0, 0, 0, mark, 3, 254, 2, 0, 0, 0, 0];
    let route = Message::new(NEW_ROUTE, ACKNOWLEDGE | CREATE).raw(&header);
    // struct fib_rule_hdr: family, lengths, TOS, table, reserved, action 1 (to the table). FRA_FWMARK 10.
    let header = [AF_INET, 0, 0, 0, mark, 0, 0, 1, 0, 0, 0, 0];
    let rule = Message::new(NEW_RULE, ACKNOWLEDGE | CREATE_NEW).raw(&header);
    [Change(route.attribute(4, &LOOPBACK.to_ne_bytes())), Change(rule.attribute(10, &u32::from(mark).to_ne_bytes()))]
}

/// `struct ifinfomsg`: family, type, index, flags, which flags to change.
fn interface_header(index: u32, up: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&up.to_ne_bytes());
    header[12..16].copy_from_slice(&up.to_ne_bytes());
    header
}

fn interface(message: Message, index: u32, up: u32) -> Message {
    message.raw(&interface_header(index, up))
}

fn read_link(body: &[u8]) -> Option<Link> {
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let (mut name, mut alias) = (None, None);
    for (kind, value) in attributes(body.get(16..)?) {
        let text = || String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
        match kind {
            IFLA_IFNAME => name = Some(text()),
            IFLA_IFALIAS => alias = Some(text()),
            _ => {}
        }
    }
    Some(Link { index, name: name?, alias })
}

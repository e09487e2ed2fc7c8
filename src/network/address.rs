//! Which addresses a project gets. Pure: the host's routes and resolvers come in as text and values.

use crate::model::{BoxName, Failure, ProjectId, Result};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Prefix length of a project's network where the file names none: 1,021 boxes, about what a bridge has ports for.
pub const DEFAULT_PREFIX: u8 = 22;

/// Part of the address space that is in use already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl Subnet {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.address) & mask(self.prefix)
    }

    fn overlaps(&self, other: &Subnet) -> bool {
        let wider = if self.prefix < other.prefix { self } else { other };
        let narrower = if self.prefix < other.prefix { other } else { self };
        wider.contains(narrower.address)
    }

    /// The router's address: the first behind the network's own.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) + 1)
    }

    /// The last address means "everybody" and belongs to nobody.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | !mask(self.prefix))
    }

    /// Whether a box can have `address`.
    pub fn can_give(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && address != self.address && address != self.gateway() && address != self.broadcast()
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

/// The networks in the text of `/proc/net/route`, without the default route: addresses and masks there are
/// hexadecimal in the machine's byte order (`proc(5)`).
pub fn read_routes(text: &str) -> Vec<Subnet> {
    let read = |word: &str| u32::from_str_radix(word, 16).ok().map(u32::from_be);
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let prefix = read(words.get(7)?)?.count_ones() as u8;
            let address = Ipv4Addr::from(read(words.get(1)?)?);
            (prefix > 0).then_some(Subnet { address, prefix })
        })
        .collect()
}

/// The network of a project: by a digest of its identity somewhere in 10.0.0.0/8 (RFC 1918), the next ones from
/// there when it overlaps what the host reaches. When the host has a route for all of 10.0.0.0/8 only its narrower
/// routes are avoided, since there is no better choice.
pub fn choose_subnet(id: &ProjectId, routes: &[Subnet], resolvers: &[IpAddr]) -> Subnet {
    let digest = Sha256::digest(id.as_str().as_bytes());
    let slots = 1u32 << (DEFAULT_PREFIX - 8);
    let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % slots;
    let candidates = (0..slots).map(|step| {
        let slot = (start + step) % slots;
        Subnet { address: Ipv4Addr::from((10 << 24) | (slot << (32 - DEFAULT_PREFIX))), prefix: DEFAULT_PREFIX }
    });
    let is_free = |subnet: &Subnet| {
        let routed = routes.iter().any(|route| route.prefix > 8 && route.overlaps(subnet));
        let asked = resolvers.iter().any(|resolver| matches!(resolver, IpAddr::V4(v4) if subnet.contains(*v4)));
        !routed && !asked
    };
    let first =
        Subnet { address: Ipv4Addr::from((10 << 24) | (start << (32 - DEFAULT_PREFIX))), prefix: DEFAULT_PREFIX };
    candidates.into_iter().find(is_free).unwrap_or(first)
}

/// One box that needs an address.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: BoxName,
    /// The file names it.
    pub address: Option<Ipv4Addr>,
}

/// An address for every box, in the order given: the one the file names, else the one it had (`remembered`), else the
/// lowest that no box has, had or wants.
///
/// # Errors
/// A named address is outside the subnet, reserved, or named twice; or the subnet is full.
pub fn choose_addresses(
    subnet: Subnet,
    boxes: &[Wanted],
    remembered: &BTreeMap<BoxName, Ipv4Addr>,
) -> Result<BTreeMap<BoxName, Ipv4Addr>> {
    let mut chosen = BTreeMap::new();
    let mut owners: BTreeMap<Ipv4Addr, &BoxName> = BTreeMap::new();
    for wanted in boxes {
        let Some(address) = wanted.address else { continue };
        if !subnet.can_give(address) {
            let Subnet { address: network, prefix } = subnet;
            return Err(Failure::new(format!("box {} cannot have the address {address}", wanted.name)).hint(format!(
                "choose one in {network}/{prefix} other than {network}, {} and {}",
                subnet.gateway(),
                subnet.broadcast()
            )));
        }
        if let Some(other) = owners.insert(address, &wanted.name) {
            return Err(Failure::new(format!("boxes {other} and {} both want the address {address}", wanted.name)));
        }
        chosen.insert(wanted.name.clone(), address);
    }
    let undecided = || boxes.iter().filter(|wanted| wanted.address.is_none());
    for wanted in undecided() {
        if let Some(&address) = remembered.get(&wanted.name)
            && subnet.can_give(address)
            && !owners.contains_key(&address)
        {
            owners.insert(address, &wanted.name);
            chosen.insert(wanted.name.clone(), address);
        }
    }
    // Addresses of boxes that are away for now stay theirs while there is room.
    let away: BTreeSet<Ipv4Addr> = remembered.values().copied().collect();
    let lowest = u32::from(subnet.address) + 2;
    let all = || (lowest..u32::from(subnet.broadcast())).map(Ipv4Addr::from);
    let mut free = all().filter(|a| !away.contains(a)).chain(all().filter(|a| away.contains(a)));
    for wanted in undecided() {
        if chosen.contains_key(&wanted.name) {
            continue;
        }
        let Some(address) = free.find(|address| !owners.contains_key(address)) else {
            let Subnet { address, prefix } = subnet;
            return Err(Failure::new(format!("no address is left in {address}/{prefix} for box {}", wanted.name))
                .hint("choose a wider `subnet` under [network]"));
        };
        owners.insert(address, &wanted.name);
        chosen.insert(wanted.name.clone(), address);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        let (address, prefix) = text.split_once('/').unwrap();
        Subnet { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    fn name(text: &str) -> BoxName {
        BoxName::new(text).unwrap()
    }

    fn wanted(text: &str, address: Option<&str>) -> Wanted {
        Wanted { name: name(text), address: address.map(|a| a.parse().unwrap()) }
    }

    #[test]
    fn routes_are_read_from_proc() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(read_routes(text), [subnet("192.0.2.0/24")]);
    }

    #[test]
    fn a_project_keeps_its_subnet_and_avoids_the_hosts() {
        let id = ProjectId::new("p-shop-0123456789").unwrap();
        let first = choose_subnet(&id, &[], &[]);
        assert_eq!(first, choose_subnet(&id, &[subnet("192.168.0.0/16")], &[]));
        assert_eq!(first.prefix, 22);
        assert!(subnet("10.0.0.0/8").contains(first.address));
        let second = choose_subnet(&id, &[Subnet { address: first.gateway(), prefix: 32 }], &[]);
        assert!(!second.overlaps(&first));
        assert_eq!(second, choose_subnet(&id, &[], &[IpAddr::V4(first.gateway())]));
        // Half of 10/8 is routed: the other half is taken. All of it: no better choice.
        let half = Subnet { address: first.address, prefix: 9 };
        assert!(!choose_subnet(&id, &[half], &[]).overlaps(&half));
        assert_eq!(first, choose_subnet(&id, &[subnet("10.0.0.0/8")], &[]));
    }

    #[test]
    fn addresses_are_named_then_remembered_then_the_next_free() {
        let boxes = [wanted("dev", None), wanted("db", Some("10.1.0.2")), wanted("web", None), wanted("old", None)];
        let remembered = BTreeMap::from([
            (name("old"), "10.1.0.9".parse().unwrap()),
            (name("web"), "10.1.0.2".parse().unwrap()),
            (name("away"), "10.1.0.3".parse().unwrap()),
        ]);
        let chosen = choose_addresses(subnet("10.1.0.0/22"), &boxes, &remembered).unwrap();
        let shown: Vec<String> = chosen.iter().map(|(name, address)| format!("{name} {address}")).collect();
        assert_eq!(shown, ["db 10.1.0.2", "dev 10.1.0.4", "old 10.1.0.9", "web 10.1.0.5"]);
    }

    #[test]
    fn impossible_addresses_are_refused() {
        let none = BTreeMap::new();
        let small = subnet("10.1.0.0/30");
        for bad in ["10.1.0.0", "10.1.0.1", "10.1.0.3", "10.2.0.2"] {
            assert!(choose_addresses(small, &[wanted("a", Some(bad))], &none).is_err(), "{bad}");
        }
        let twice = [wanted("a", Some("10.1.0.2")), wanted("b", Some("10.1.0.2"))];
        assert!(choose_addresses(small, &twice, &none).is_err());
        let error = choose_addresses(small, &[wanted("a", None), wanted("b", None)], &none).unwrap_err();
        assert_eq!(error.to_string(), "no address is left in 10.1.0.0/30 for box b");
    }
}

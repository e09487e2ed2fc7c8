//! What a plan of the network means against what is there. Pure.

use super::address::Subnet;
use crate::model::wire::NetworkPlan;
use crate::model::{BoxName, Failure, Result};
use crate::sys::ports::{Place, exact_place};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Prefix lengths a network can have: smaller ones have no room for a box, larger ones are more than a network of
/// private addresses (RFC 1918).
const PREFIXES: std::ops::RangeInclusive<u8> = 8..=30;

/// Checks that the plan is possible at all.
///
/// # Errors
/// The first contradiction in it.
pub fn check(plan: &NetworkPlan) -> Result<Subnet> {
    let subnet = Subnet { address: plan.subnet, prefix: plan.prefix };
    let NetworkPlan { subnet: address, prefix, .. } = plan;
    if !PREFIXES.contains(prefix) || u32::from(subnet.address) & (u32::MAX >> prefix) != 0 {
        return Err(Failure::new(format!("{address}/{prefix} is no network that boxes can have"))
            .hint("name one as 10.20.0.0/22: prefix 8 to 30, and zeros behind it"));
    }
    let mut addresses: BTreeMap<Ipv4Addr, &BoxName> = BTreeMap::new();
    let mut names: BTreeMap<&BoxName, ()> = BTreeMap::new();
    let mut places: BTreeMap<Place, &BoxName> = BTreeMap::new();
    for wanted in &plan.boxes {
        let name = &wanted.name;
        if !subnet.can_give(wanted.address) {
            return Err(Failure::new(format!("box {name} cannot have {} in {address}/{prefix}", wanted.address)));
        }
        if let Some(other) = addresses.insert(wanted.address, name) {
            return Err(Failure::new(format!("boxes {other} and {name} both have {}", wanted.address)));
        }
        if names.insert(name, ()).is_some() {
            return Err(Failure::new(format!("box {name} is named twice")));
        }
        for place in wanted.ports.iter().filter_map(exact_place) {
            if let Some(other) = places.insert(place, name) {
                let what = format!("{other} and {name} both want {} port {} ({})", place.0, place.1, place.2);
                return Err(Failure::new(what).hint("give one of them another number before the colon in `ports`"));
            }
        }
    }
    Ok(subnet)
}

/// Which boxes of the plan stay, and which that are there go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub stay: BTreeSet<BoxName>,
    pub come: BTreeSet<BoxName>,
    pub go: BTreeSet<BoxName>,
}

/// Compares; a box with another address is another box.
pub fn compare(plan: &NetworkPlan, there: &BTreeMap<BoxName, Ipv4Addr>) -> Difference {
    let stays = |name: &BoxName, address: Ipv4Addr| there.get(name) == Some(&address);
    let (stay, come): (Vec<_>, Vec<_>) = plan.boxes.iter().partition(|wanted| stays(&wanted.name, wanted.address));
    let names = |boxes: Vec<&crate::model::wire::BoxNetwork>| boxes.into_iter().map(|b| b.name.clone()).collect();
    let stay: BTreeSet<BoxName> = names(stay);
    let go = there.keys().filter(|name| !stay.contains(name)).cloned().collect();
    Difference { stay, come: names(come), go }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::wire::BoxNetwork;
    use crate::model::{HostPort, PortAddress, PortRequest, Protocol};

    fn wanted(name: &str, last: u8, ports: &[u16]) -> BoxNetwork {
        let request = |number: &u16| PortRequest {
            address: PortAddress::Loopback,
            host: HostPort::Exactly(*number),
            box_port: 80,
            protocol: Protocol::Tcp,
        };
        BoxNetwork {
            name: BoxName::new(name).unwrap(),
            address: Ipv4Addr::new(10, 1, 0, last),
            ports: ports.iter().map(request).collect(),
            remembered: Vec::new(),
        }
    }

    fn plan(boxes: Vec<BoxNetwork>) -> NetworkPlan {
        NetworkPlan {
            subnet: Ipv4Addr::new(10, 1, 0, 0),
            prefix: 22,
            dns: Vec::new(),
            loopback_ports: Vec::new(),
            boxes,
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let bad = [
            NetworkPlan { prefix: 33, ..plan(vec![]) },
            NetworkPlan { subnet: Ipv4Addr::new(10, 1, 0, 1), ..plan(vec![]) },
            plan(vec![wanted("a", 1, &[])]),
            plan(vec![wanted("a", 2, &[]), wanted("b", 2, &[])]),
            plan(vec![wanted("a", 2, &[]), wanted("a", 3, &[])]),
            plan(vec![wanted("a", 2, &[8080]), wanted("b", 3, &[8080])]),
        ];
        for plan in bad {
            assert!(check(&plan).is_err(), "{plan:?}");
        }
        assert!(check(&plan(vec![wanted("a", 2, &[8080]), wanted("b", 3, &[8081])])).is_ok());
    }

    #[test]
    fn boxes_stay_come_and_go() {
        let name = |text: &str| BoxName::new(text).unwrap();
        let there = ["a", "b", "c"].into_iter().zip(2..).map(|(n, last)| (name(n), Ipv4Addr::new(10, 1, 0, last)));
        let wanted = plan(vec![wanted("a", 2, &[]), wanted("b", 9, &[]), wanted("d", 4, &[])]);
        let difference = compare(&wanted, &there.collect());
        assert_eq!(difference.stay, BTreeSet::from([name("a")]));
        assert_eq!(difference.come, BTreeSet::from([name("b"), name("d")]));
        assert_eq!(difference.go, BTreeSet::from([name("b"), name("c")]));
    }
}

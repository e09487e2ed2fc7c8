//! `[network]`, `ip`, `hosts`: addresses that must fit each other.

use super::file::NetworkTable;
use super::place::{Placed, Span};
use super::problem::{Problem, Problems};
use crate::model::{BoxName, NetworkWanted};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Reads `[network]`.
pub fn resolve_network(table: &NetworkTable, problems: &mut Problems) -> NetworkWanted {
    let subnet = table.subnet.as_ref().and_then(|subnet| {
        let parsed = parse_subnet(subnet.value());
        problems.keep(parsed.map_err(|(what, help)| Problem::at(subnet.span(), what).help(help)))
    });
    let dns = table.dns.iter().filter_map(|server| problems.keep(resolve_address(server))).collect();
    NetworkWanted { subnet, dns }
}

/// An address written in a file.
///
/// # Errors
/// It is none.
pub fn resolve_address(text: &Placed<String>) -> Result<IpAddr, Problem> {
    let wrong =
        |_| Problem::at(text.span(), format!("\"{}\" is not an address", text.value())).help("as `192.168.1.10`");
    text.value().parse::<IpAddr>().map_err(wrong)
}

/// `10.20.30.0/24` with room for a router and at least one box.
fn parse_subnet(text: &str) -> Result<(Ipv4Addr, u8), (String, String)> {
    let grammar = "written as a network address and a prefix length: \"10.20.30.0/24\"".to_owned();
    let not_a_subnet = || (format!("\"{text}\" is not a subnet"), grammar.clone());
    let (address, prefix) = text.split_once('/').ok_or_else(not_a_subnet)?;
    let address: Ipv4Addr = address.parse().map_err(|_| not_a_subnet())?;
    let prefix: u8 = prefix.parse().map_err(|_| not_a_subnet())?;
    if !(8..=29).contains(&prefix) {
        let help = "a prefix length from 8 to 29 leaves room for the router and some boxes".to_owned();
        return Err((format!("a subnet of /{prefix} cannot be used"), help));
    }
    let network = Ipv4Addr::from_bits(address.to_bits() & mask(prefix));
    if network != address {
        return Err((format!("{text} is not a network address"), format!("did you mean \"{network}/{prefix}\"?")));
    }
    if address.is_loopback() || address.is_multicast() || address.is_link_local() || address.is_unspecified() {
        let help = "take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918)".to_owned();
        return Err((format!("{text} cannot be a network of boxes"), help));
    }
    Ok((address, prefix))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// A box's fixed address and where it is written.
pub struct FixedAddress {
    pub owner: BoxName,
    pub address: Ipv4Addr,
    pub span: Span,
}

/// Reads `ip`.
///
/// # Errors
/// It is not an IPv4 address.
pub fn resolve_ip(text: &Placed<String>) -> Result<Ipv4Addr, Problem> {
    let wrong = |_| Problem::at(text.span(), format!("\"{}\" is not an IPv4 address", text.value()));
    text.value().parse().map_err(wrong)
}

/// Every fixed address lies in the subnet, is free for a box, and belongs to one box; the boxes fit into the subnet.
pub fn check_addresses(
    fixed: &[FixedAddress],
    network: &NetworkWanted,
    subnet_written: Option<Span>,
    boxes: usize,
    problems: &mut Problems,
) {
    let mut owners: BTreeMap<Ipv4Addr, &BoxName> = BTreeMap::new();
    for wanted in fixed {
        let here = |what: String| Problem::at(wanted.span.clone(), what);
        if let Some(owner) = owners.insert(wanted.address, &wanted.owner) {
            problems.add(
                here(format!("two boxes want the address {}", wanted.address)).label(format!("so does `{owner}`")),
            );
        }
        match network.subnet {
            Some(subnet) => {
                if let Some(what) = unfit(wanted.address, subnet) {
                    problems.add(here(what).help(free_range(subnet)));
                }
            }
            None if subnet_written.is_none() => problems.add(
                here(format!("the address {} needs a subnet to be in", wanted.address))
                    .help("give one: [network] subnet = \"10.20.30.0/24\""),
            ),
            None => {}
        }
    }
    if let (Some((_, prefix)), Some(span)) = (network.subnet, subnet_written) {
        // All but the network, router and broadcast addresses.
        let room = (1_usize << (32 - prefix)) - 3;
        if boxes > room {
            problems.add(Problem::at(span, format!("the subnet has room for {room} boxes, and there are {boxes}")));
        }
    }
}

fn ends((network, prefix): (Ipv4Addr, u8)) -> (u32, u32) {
    (network.to_bits(), network.to_bits() | !mask(prefix))
}

fn unfit(address: Ipv4Addr, subnet: (Ipv4Addr, u8)) -> Option<String> {
    let (network, broadcast) = ends(subnet);
    let bits = address.to_bits();
    let role = match bits {
        _ if bits < network || bits > broadcast => {
            return Some(format!("{address} is not in the subnet {}/{}", subnet.0, subnet.1));
        }
        _ if bits == network => "network",
        _ if bits == network + 1 => "router",
        _ if bits == broadcast => "broadcast",
        _ => return None,
    };
    Some(format!("{address} is the {role} address of {}/{}", subnet.0, subnet.1))
}

fn free_range(subnet: (Ipv4Addr, u8)) -> String {
    let (network, broadcast) = ends(subnet);
    format!("boxes may have {} to {}", Ipv4Addr::from_bits(network + 2), Ipv4Addr::from_bits(broadcast - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_network_addresses_with_room() {
        assert_eq!(parse_subnet("10.1.2.0/24"), Ok((Ipv4Addr::new(10, 1, 2, 0), 24)));
        for wrong in ["", "10.1.2.0", "10.1.2.3/24", "10.1.2.0/30", "10.1.2.0/33", "127.0.0.0/8", "224.0.0.0/8", "x/24"]
        {
            assert!(parse_subnet(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reserved_addresses_do_not_fit() {
        let subnet = (Ipv4Addr::new(10, 1, 2, 0), 24);
        for (last, fits) in [(0, false), (1, false), (2, true), (254, true), (255, false)] {
            assert_eq!(unfit(Ipv4Addr::new(10, 1, 2, last), subnet).is_none(), fits, "{last}");
        }
        assert!(unfit(Ipv4Addr::new(10, 1, 3, 4), subnet).is_some());
        assert_eq!(free_range(subnet), "boxes may have 10.1.2.2 to 10.1.2.254");
    }
}

//! What a box finds in its network namespace besides its own interface.

use crate::sys::linux::link::{self, LOOPBACK, Links};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

/// Name of a box's interface.
pub const INTERFACE: &str = "eth0";

/// Prepares a new namespace, that of the calling thread. Settings that the kernel does not have are left out.
pub fn prepare() {
    // There is no IPv6 on the project's network: nothing is announced to 200 neighbours when a box comes. The
    // loopback interface exists already and keeps its ::1.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    // Programs of a box may take any port, and ping, whoever they run as: the namespace is theirs.
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    let groups = fs::read_to_string("/proc/self/gid_map").ok().and_then(|map| all_groups(&map));
    if let Some(range) = groups {
        let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", range);
    }
}

/// Switches on loopback, and gives the interface its address and the way out; the calling thread is in the box's
/// namespace.
///
/// # Errors
/// The kernel's.
pub fn connect(address: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> io::Result<()> {
    let index = Links::index_of(INTERFACE)?;
    let own = link::address(index, address, prefix);
    Links::open()?.change([link::up(LOOPBACK), own, link::up(index), link::default_route(gateway)])
}

/// Makes the pair of interfaces; the calling thread is in the router's namespace.
///
/// # Errors
/// The kernel's; nothing is left then.
pub fn plug(links: &Links, name: &str, alias: &str, bridge: u32, box_namespace: &OwnedFd) -> io::Result<()> {
    use std::os::fd::AsFd;
    links.change([link::veth(name, bridge, INTERFACE, box_namespace.as_fd())])?;
    links.change([link::alias(name, alias)]).inspect_err(|_| drop(links.change([link::delete(name)])))
}

/// The range that covers every group a user namespace has, given its `gid_map`: the kernel compares the numbers
/// outside (second column), and wants the ends as inside (first column) (`user_namespaces(7)`).
fn all_groups(map: &str) -> Option<String> {
    let rows: Vec<[u64; 3]> = map
        .lines()
        .filter_map(|line| {
            let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            numbers.try_into().ok()
        })
        .collect();
    let lowest = rows.iter().min_by_key(|[_, outside, _]| outside)?;
    let highest = rows.iter().max_by_key(|[_, outside, _]| outside)?;
    // The kernel takes no group above this (GROUP_RANGE_MAX in include/linux/sysctl.h).
    const HIGHEST_GROUP: u64 = i32::MAX as u64;
    Some(format!("{} {}", lowest[0], (highest[0] + highest[2] - 1).min(HIGHEST_GROUP)))
}

#[cfg(test)]
mod tests {
    use super::all_groups;

    #[test]
    fn the_range_covers_every_mapped_group() {
        let ordinary =
            "         0     100000       1000\n      1000       1000          1\n      1001     101000      64535\n";
        assert_eq!(all_groups(ordinary).unwrap(), "1000 65535");
        assert_eq!(all_groups("1000 1000 1\n").unwrap(), "1000 1000");
        assert_eq!(all_groups("0 0 4294967295\n").unwrap(), "0 2147483647");
        assert_eq!(all_groups(""), None);
    }
}

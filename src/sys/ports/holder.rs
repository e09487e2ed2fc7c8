//! Who holds a port of this computer, as far as `/proc` tells this user.

use super::taken::Holder;
use crate::model::{PortAddress, Protocol};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// A line of `/proc/net/tcp` and its like (`proc(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    address: IpAddr,
    port: u16,
    user: u32,
    inode: u64,
}

/// Who holds `port`; `None` when nobody seems to.
pub fn find(address: PortAddress, port: u16, protocol: Protocol) -> Option<Holder> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let texts: Vec<String> = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let mut entries = texts.iter().flat_map(|text| text.lines().skip(1)).filter_map(|line| read_entry(line, protocol));
    let entry = entries.find(|entry| entry.port == port && conflicts(entry.address, address))?;
    Some(find_process(entry.inode).unwrap_or(Holder::User(entry.user)))
}

/// Whether a socket bound to `held` is in the way of one at `wanted`.
fn conflicts(held: IpAddr, wanted: PortAddress) -> bool {
    match wanted {
        PortAddress::Loopback => held.is_unspecified() || held.is_loopback(),
        PortAddress::Address(wanted) => held.is_unspecified() || wanted.is_unspecified() || held == wanted,
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`; only sockets that take what comes.
fn read_entry(line: &str, protocol: Protocol) -> Option<Entry> {
    let words: Vec<&str> = line.split_whitespace().collect();
    // TCP_LISTEN 0x0A; an unconnected UDP socket is TCP_CLOSE 0x07 (include/net/tcp_states.h).
    let expected = if protocol == Protocol::Tcp { "0A" } else { "07" };
    if *words.get(3)? != expected {
        return None;
    }
    let (address, port) = words.get(1)?.split_once(':')?;
    Some(Entry {
        address: read_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        user: words.get(7)?.parse().ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

/// Groups of eight hexadecimal digits, each four bytes in the machine's order.
fn read_address(text: &str) -> Option<IpAddr> {
    let group = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::from_be);
    if text.len() == 8 {
        return Some(Ipv4Addr::from(group(0)?).into());
    }
    let groups = [group(0)?, group(8)?, group(16)?, group(24)?];
    let whole = groups.into_iter().fold(0u128, |whole, group| (whole << 32) | u128::from(group));
    Some(Ipv6Addr::from(whole).into())
}

/// The process that has the socket with this inode open.
fn find_process(inode: u64) -> Option<Holder> {
    let target = format!("socket:[{inode}]");
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let process = Path::new("/proc").join(pid.to_string());
        let Ok(descriptors) = fs::read_dir(process.join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target.as_str()));
        if holds {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default().trim_end().to_owned();
            return Some(Holder::Process { pid, name });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_lines_are_read() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0";
        let entry = read_entry(line, Protocol::Tcp).unwrap();
        assert_eq!(entry, Entry { address: Ipv4Addr::LOCALHOST.into(), port: 8080, user: 1000, inode: 4242 });
        assert_eq!(read_entry(line, Protocol::Udp), None);
        assert_eq!(read_address("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Some(Holder::Process { pid, .. }) = find(PortAddress::Loopback, port, Protocol::Tcp) else { panic!() };
        assert_eq!(pid, std::process::id());
    }
}

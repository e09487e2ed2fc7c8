//! The resolvers names are asked of: the project's own, else the host's, read again when its file changes.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

const HOST_FILE: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;

/// Where to ask, now.
#[derive(Default)]
pub struct Resolvers {
    own: Mutex<Vec<IpAddr>>,
    host: Mutex<(Option<SystemTime>, Vec<IpAddr>)>,
}

impl Resolvers {
    /// Asks these from now on; none: the host's.
    pub fn set(&self, own: &[IpAddr]) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = own.to_vec();
    }

    pub fn current(&self) -> Vec<SocketAddr> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = if own.is_empty() { self.read_host() } else { own };
        asked.into_iter().map(|address| SocketAddr::new(address, DNS_PORT)).collect()
    }

    fn read_host(&self) -> Vec<IpAddr> {
        let modified = fs::metadata(Path::new(HOST_FILE)).and_then(|facts| facts.modified()).ok();
        let mut known = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != modified || modified.is_none() {
            let text = fs::read_to_string(HOST_FILE).unwrap_or_default();
            *known = (modified, read_resolv_conf(&text));
        }
        known.1.clone()
    }
}

/// The `nameserver` lines of a `resolv.conf(5)`; without any, the resolver of this computer, as there.
pub fn read_resolv_conf(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    let named: Vec<IpAddr> = text.lines().filter_map(address).collect();
    if named.is_empty() { vec![IpAddr::from([127, 0, 0, 1])] } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameserver_lines_are_read() {
        let text =
            "# nameserver 9.9.9.9\nsearch example\nnameserver 127.0.0.53\n nameserver\t2001:db8::1 \nnameserver x\n";
        let expected: Vec<IpAddr> = vec!["127.0.0.53".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(read_resolv_conf(text), expected);
        assert_eq!(read_resolv_conf(""), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}

//! What boxes get of this computer's own way to the outside: its proxies and the certificates it trusts besides the usual.

use crate::model::settings::{ProxySettings, Settings};
use crate::model::{BoxName, Result, Trying};
use crate::network::address::Subnet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where programs of a box find whom to trust: what Debian and Alpine have, and every box gets.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Variables of programs with lists of their own: OpenSSL elsewhere than the distribution's, Python's requests, Node.
const BUNDLE_VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];

/// The proxies of the settings as variables of a box in `subnet`, whose router is the way to this computer's loopback.
/// Other boxes are reached directly. A variable counts in capitals and without: `has` tells what the box sets itself,
/// which wins in both.
pub fn proxy_variables(
    proxy: &ProxySettings,
    subnet: Subnet,
    boxes: &[BoxName],
    has: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let at_router = |url: &String| match split(url) {
        Some((before, host, after)) if is_loopback(host) => format!("{before}{}{after}", subnet.gateway()),
        _ => url.clone(),
    };
    let mut variables = Vec::new();
    for (name, value) in [("HTTP_PROXY", &proxy.http), ("HTTPS_PROXY", &proxy.https)] {
        variables.extend(value.as_ref().map(|url| (name, at_router(url))));
    }
    if !variables.is_empty() {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter();
        let network = format!("{}/{}", subnet.address, subnet.prefix);
        let direct = own.chain(boxes.iter().map(BoxName::to_string)).chain([network]).chain(proxy.no_proxy.clone());
        variables.push(("NO_PROXY", direct.collect::<Vec<_>>().join(",")));
    }
    let both = variables.into_iter().map(|(name, value)| (name.to_owned(), name.to_ascii_lowercase(), value));
    let free = both.filter(|(upper, lower, _)| !has(upper) && !has(lower));
    free.flat_map(|(upper, lower, value)| [(upper, value.clone()), (lower, value)]).collect()
}

/// Ports of this computer's loopback at which the settings' proxies are.
pub fn proxy_ports(proxy: &ProxySettings) -> Vec<u16> {
    let urls = proxy.http.iter().chain(&proxy.https);
    let local = urls.filter_map(|url| split(url)).filter(|(_, host, _)| is_loopback(host));
    let ports: BTreeSet<u16> = local.map(|(before, _, after)| port_of(before, after)).collect();
    ports.into_iter().collect()
}

/// The certificates of the settings as text (PEM).
///
/// # Errors
/// A file cannot be read.
pub fn authorities(settings: &Settings) -> Result<Vec<String>> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path).trying(|| format!("cannot read the certificates in {}", path.display()))
    };
    settings.ca_certificates.iter().map(read).collect()
}

/// Variables that lead programs to the box's list of whom to trust, when there is more in it than its image has.
pub fn trust_variables(authorities: &[String]) -> Vec<(String, String)> {
    let all = BUNDLE_VARIABLES.map(|name| (name.to_owned(), BUNDLE.to_owned()));
    if authorities.is_empty() { Vec::new() } else { all.into() }
}

/// A proxy's address cut around its host: `http://user:secret@`, `localhost`, `:3128/`. Without a scheme it is the host
/// that comes first, as curl takes it.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let authority = &url[start..];
    let authority = &authority[..authority.find('/').unwrap_or(authority.len())];
    let host_at = start + authority.rfind('@').map_or(0, |at| at + 1);
    let rest = &url[host_at..];
    let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find([':', '/']).unwrap_or(rest.len()) };
    Some((&url[..host_at], &rest[..end], &rest[end..]))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn port_of(before: &str, after: &str) -> u16 {
    let named = after.strip_prefix(':').map(|text| text.trim_end_matches('/'));
    let usual = match before.split("://").next() {
        Some("https") if before.contains("://") => 443,
        // As curl has it for SOCKS, and for HTTP proxies without a scheme.
        Some("http") if before.contains("://") => 80,
        _ => 1080,
    };
    named.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn variables(http: &str, has: &str) -> Vec<String> {
        let proxy = ProxySettings { http: Some(http.into()), https: None, no_proxy: Some("corp.example".into()) };
        let subnet = Subnet { address: Ipv4Addr::new(10, 1, 0, 0), prefix: 22 };
        let boxes = [BoxName::dev()];
        let set = proxy_variables(&proxy, subnet, &boxes, |name| name == has);
        set.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_proxy_on_the_loopback_is_reached_at_the_router() {
        for (url, inside) in [
            ("http://127.0.0.1:3128", "http://10.1.0.1:3128"),
            ("http://me:s3@localhost:80/", "http://me:s3@10.1.0.1:80/"),
            ("http://[::1]:3128", "http://10.1.0.1:3128"),
            ("localhost:3128", "10.1.0.1:3128"),
            ("http://proxy.corp.example:3128", "http://proxy.corp.example:3128"),
            ("http://localhost.example:1", "http://localhost.example:1"),
        ] {
            assert_eq!(variables(url, "")[0], format!("HTTP_PROXY={inside}"), "{url}");
        }
    }

    #[test]
    fn both_spellings_are_set_unless_the_box_sets_one_and_boxes_are_reached_directly() {
        let direct = "localhost,127.0.0.1,::1,dev,10.1.0.0/22,corp.example";
        let no_proxy = [format!("NO_PROXY={direct}"), format!("no_proxy={direct}")];
        let all = variables("http://p:1", "");
        assert_eq!(all[..2], ["HTTP_PROXY=http://p:1", "http_proxy=http://p:1"]);
        assert_eq!(all[2..], no_proxy);
        assert_eq!(variables("http://p:1", "http_proxy"), no_proxy);
        assert_eq!(
            proxy_variables(
                &ProxySettings::default(),
                Subnet { address: [10, 1, 0, 0].into(), prefix: 22 },
                &[],
                |_| false
            ),
            []
        );
    }

    #[test]
    fn only_proxies_on_the_loopback_open_ports() {
        let ports = |http: &str, https: &str| {
            proxy_ports(&ProxySettings { http: Some(http.into()), https: Some(https.into()), no_proxy: None })
        };
        assert_eq!(ports("http://127.0.0.1:3128", "http://localhost:3128/"), [3128]);
        assert_eq!(ports("http://localhost", "socks5h://127.0.0.1"), [80, 1080]);
        assert_eq!(ports("http://proxy:3128", "http://10.0.0.1:99"), [0; 0]);
    }
}

//! Addresses of a host name, asked of the resolvers in /etc/resolv.conf: the static binary must not call getaddrinfo.

use hickory_resolver::TokioResolver;
use std::net::IpAddr;

/// The addresses of `host`; empty when nobody knows any.
pub async fn addresses(host: &str) -> Vec<IpAddr> {
    let Ok(Ok(resolver)) = TokioResolver::builder_tokio().map(|builder| builder.build()) else { return Vec::new() };
    resolver.lookup_ip(host).await.map(|found| found.iter().collect()).unwrap_or_default()
}

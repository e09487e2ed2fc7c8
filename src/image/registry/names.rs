//! Host names to addresses without the C library, whose resolver cannot be linked statically.

use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Asks `/etc/hosts`, then the servers of `/etc/resolv.conf`.
#[derive(Clone, Default)]
pub struct Names {
    resolver: Arc<OnceCell<TokioResolver>>,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.resolver);
        Box::pin(async move {
            let name = name.as_str();
            // RFC 6761, section 6.3: never asked of a server.
            if name == "localhost" || name.ends_with(".localhost") {
                let both = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
                return Ok(Box::new(both.into_iter()) as Addrs);
            }
            let resolver = resolver.get_or_try_init(|| async { TokioResolver::builder_tokio()?.build() }).await?;
            let found = resolver.lookup_ip(name).await?;
            let addresses: Vec<SocketAddr> = found.iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

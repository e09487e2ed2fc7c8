//! The HTTP client for one server.

use crate::image::registry::endpoint::{Endpoint, is_loopback};
use crate::image::registry::names::Names;
use crate::image::registry::patience::Patience;
use crate::image::registry::tls;
use crate::model::{Failure, Result, Settings, Trying};
use crate::sys::environment;
use reqwest::{Client, NoProxy, Proxy};
use std::time::Duration;

/// Never through a proxy, as Go's programs treat them.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1";

/// A client for `endpoint`.
///
/// # Errors
/// A certificate or a proxy in the settings is wrong.
pub fn client(endpoint: &Endpoint, settings: &Settings, names: &Names, patience: &Patience) -> Result<Client> {
    let authorities: Vec<_> = settings.ca_certificates.iter().chain(&endpoint.ca).cloned().collect();
    let mut builder = Client::builder()
        .user_agent(concat!("devenv/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls::client_config(&authorities, endpoint.insecure)?)
        .dns_resolver(names.clone())
        .connect_timeout(Duration::from_millis(patience.connect_ms))
        .read_timeout(Duration::from_millis(patience.stall_ms))
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        .no_proxy();
    if !is_loopback(&endpoint.host) {
        for proxy in proxies(settings)? {
            builder = builder.proxy(proxy);
        }
    }
    builder.build().trying(|| "cannot set up the HTTP client")
}

/// The settings' proxies, or the environment's where the settings are silent. As curl does, `HTTP_PROXY` in capitals
/// counts too: we never run as a CGI program.
fn proxies(settings: &Settings) -> Result<Vec<Proxy>> {
    let variable = |name: &str| {
        let lower = environment::variable(&name.to_ascii_lowercase());
        lower.or_else(|| environment::variable(name)).filter(|value| !value.is_empty())
    };
    let own = &settings.proxy;
    let all = || variable("ALL_PROXY");
    let http = own.http.clone().or_else(|| variable("HTTP_PROXY")).or_else(all);
    let https = own.https.clone().or_else(|| variable("HTTPS_PROXY")).or_else(all);
    let exceptions = own.no_proxy.clone().or_else(|| variable("NO_PROXY")).unwrap_or_default();
    let exceptions = NoProxy::from_string(&format!("{exceptions},{ALWAYS_DIRECT}"));
    let wrong = |url: &str, error| Failure::because(format!("the proxy '{url}' is no web address"), error);
    let http = http.map(|url| Proxy::http(&url).map_err(|error| wrong(&url, error))).transpose()?;
    let https = https.map(|url| Proxy::https(&url).map_err(|error| wrong(&url, error))).transpose()?;
    Ok(http.into_iter().chain(https).map(|proxy| proxy.no_proxy(exceptions.clone())).collect())
}

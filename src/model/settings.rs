//! What belongs to a person or a computer, never to a project: `~/.config/devenv/config.toml`, resolved.

use super::vm::VmSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The user's own settings; the default is an absent file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where boxes run: `here`, `vm`, `ssh://user@host`. `None`: `here` on Linux.
    pub place: Option<String>,
    pub vm: VmSettings,
    /// By registry host name (`docker.io`, `127.0.0.1:5000`).
    pub registries: BTreeMap<String, RegistrySettings>,
    pub proxy: ProxySettings,
    /// PEM files with certificates to trust besides the system's, for our own connections.
    pub ca_certificates: Vec<PathBuf>,
}

/// How one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RegistrySettings {
    /// Tried in this order before the registry itself: `host[:port]` or a URL.
    pub mirrors: Vec<String>,
    /// Plain HTTP, or HTTPS without checking the certificate, is allowed.
    pub insecure: bool,
    /// PEM file with the registry's own certificate authority.
    pub ca: Option<PathBuf>,
}

/// Proxies for our own connections. `None`: the environment's HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProxySettings {
    pub http: Option<String>,
    pub https: Option<String>,
    pub no_proxy: Option<String>,
}

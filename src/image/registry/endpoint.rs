//! Where a repository can be fetched: its mirrors in order, then the registry itself.

use crate::model::settings::RegistrySettings;
use crate::model::{Failure, ImageReference, Result, Settings};
use std::net::IpAddr;
use std::path::PathBuf;

/// One server that has the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `HOST[:PORT]`, to connect to.
    pub host: String,
    /// Name under which credentials are kept.
    pub account: String,
    /// Repository on this server.
    pub repository: String,
    pub scheme: Scheme,
    /// PEM file with the certificate authority of this server.
    pub ca: Option<PathBuf>,
    /// Certificates are not checked.
    pub insecure: bool,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
    /// Whichever answers, plain first: the server is this computer.
    HttpElseHttps,
    /// Whichever answers, TLS first: the user marked it insecure.
    HttpsElseHttp,
}

/// All servers to ask for `reference`, best first.
///
/// # Errors
/// A mirror in the settings is no server.
pub fn endpoints(reference: &ImageReference, settings: &Settings) -> Result<Vec<Endpoint>> {
    let own = settings.registries.get(&reference.registry);
    let mirrors = own.map(|registry| registry.mirrors.as_slice()).unwrap_or_default();
    let mut all =
        mirrors.iter().map(|mirror| mirror_endpoint(mirror, reference, settings)).collect::<Result<Vec<_>>>()?;
    // What docker.io is called on the network.
    let host = if reference.registry == "docker.io" { "registry-1.docker.io" } else { &reference.registry };
    all.push(endpoint(host, &reference.registry, reference.repository.clone(), None, own));
    Ok(all)
}

/// A mirror: `HOST[:PORT][/PREFIX]` or a URL of it.
fn mirror_endpoint(mirror: &str, reference: &ImageReference, settings: &Settings) -> Result<Endpoint> {
    let (scheme, rest) = match mirror.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some(("https", rest)) => (Some(Scheme::Https), rest),
        Some(_) => {
            return Err(Failure::new(format!("the mirror '{mirror}' of {} is no web address", reference.registry)));
        }
        None => (None, mirror),
    };
    let (host, prefix) = rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
    if host.is_empty() {
        return Err(Failure::new(format!("the mirror '{mirror}' of {} has no host", reference.registry)));
    }
    let prefix = prefix.trim_start_matches("v2").trim_matches('/');
    let repository = match prefix {
        "" => reference.repository.clone(),
        prefix => format!("{prefix}/{}", reference.repository),
    };
    Ok(endpoint(host, host, repository, scheme, settings.registries.get(host)))
}

fn endpoint(
    host: &str,
    account: &str,
    repository: String,
    scheme: Option<Scheme>,
    settings: Option<&RegistrySettings>,
) -> Endpoint {
    let ca = settings.and_then(|registry| registry.ca.clone());
    let insecure = settings.is_some_and(|registry| registry.insecure);
    let scheme = scheme.unwrap_or(match (insecure, &ca) {
        (true, _) => Scheme::HttpsElseHttp,
        (false, None) if is_loopback(host) => Scheme::HttpElseHttps,
        (false, _) => Scheme::Https,
    });
    Endpoint { host: host.to_owned(), account: account.to_owned(), repository, scheme, ca, insecure }
}

/// Whether `HOST[:PORT]` is this computer.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &str, settings: &Settings) -> Vec<(String, String, Scheme)> {
        let reference = ImageReference::parse(image).unwrap();
        let all = endpoints(&reference, settings).unwrap();
        all.into_iter().map(|endpoint| (endpoint.host, endpoint.repository, endpoint.scheme)).collect()
    }

    #[test]
    fn mirrors_come_first_and_schemes_follow_the_rules() {
        let mut settings = Settings::default();
        let mirrors = vec!["mirror.example:5000".to_owned(), "http://127.0.0.1:1/v2/hub/".to_owned()];
        settings.registries.insert("docker.io".into(), RegistrySettings { mirrors, ..Default::default() });
        settings.registries.insert("lab:5000".into(), RegistrySettings { insecure: true, ..Default::default() });
        let row = |host: &str, repository: &str, scheme| (host.to_owned(), repository.to_owned(), scheme);
        assert_eq!(
            of("debian", &settings),
            [
                row("mirror.example:5000", "library/debian", Scheme::Https),
                row("127.0.0.1:1", "hub/library/debian", Scheme::Http),
                row("registry-1.docker.io", "library/debian", Scheme::Https),
            ]
        );
        assert_eq!(of("lab:5000/a", &settings), [row("lab:5000", "a", Scheme::HttpsElseHttp)]);
        assert_eq!(of("localhost:5000/a", &settings), [row("localhost:5000", "a", Scheme::HttpElseHttps)]);
        assert_eq!(of("[::1]:5000/a", &settings), [row("[::1]:5000", "a", Scheme::HttpElseHttps)]);
        assert_eq!(of("ghcr.io/a", &settings), [row("ghcr.io", "a", Scheme::Https)]);
    }
}

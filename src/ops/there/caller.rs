//! What the far side has to know of whoever calls.

use super::elsewhere::Elsewhere;
use crate::model::call::{Caller, Certificates, Person, ProjectCalled};
use crate::model::{Place, Result, Settings, Trying};
use crate::sys::environment::variable;
use std::path::Path;

/// How the guest of the managed VM reaches this computer's loopback addresses (QEMU's user network).
pub const HOST_IN_GUEST: &str = "10.0.2.2";

impl Elsewhere<'_> {
    /// Who calls, for the far side.
    ///
    /// # Errors
    /// A certificate that the settings name cannot be read.
    pub fn caller(&self, project: Option<ProjectCalled>) -> Result<Caller> {
        let wanted = project.iter().filter_map(|called| called.wanted.as_ref());
        let registries: Vec<String> = wanted.flat_map(registries).collect();
        self.caller_of(project, &registries)
    }

    /// The same for somebody who wants something of these registries.
    ///
    /// # Errors
    /// As there.
    pub fn caller_of(&self, project: Option<ProjectCalled>, registries: &[String]) -> Result<Caller> {
        let certificates = certificates(&self.origin.settings)?;
        let mut settings = self.origin.settings.clone();
        settings.ca_certificates.clear();
        settings.registries.values_mut().for_each(|registry| registry.ca = None);
        if self.place == Place::Vm {
            for_guest(&mut settings, registries);
        }
        let (folder, person) = (self.context.folder.clone(), self.person());
        Ok(Caller { folder, project, person, settings, certificates })
    }

    /// Whose the boxes are where the far side is root for everybody.
    pub fn person(&self) -> Option<Person> {
        let host = &self.origin.host;
        let person = || Person { name: host.user_name.clone(), uid: host.uid, gid: host.gid };
        (self.place == Place::Vm).then(person)
    }
}

/// The registries that a project's images come from.
fn registries(project: &crate::model::Project) -> impl Iterator<Item = String> {
    project.boxes.iter().filter_map(|wanted| match &wanted.image {
        crate::model::ImageSource::Registry(reference) => Some(reference.registry.clone()),
        _ => None,
    })
}

fn certificates(settings: &Settings) -> Result<Certificates> {
    let read = |path: &Path| std::fs::read_to_string(path).trying(|| format!("cannot read {}", path.display()));
    let all = settings.ca_certificates.iter().map(|path| read(path)).collect::<Result<_>>()?;
    let named = settings.registries.iter().filter_map(|(name, registry)| Some((name, registry.ca.as_ref()?)));
    let registries = named.map(|(name, path)| Ok((name.clone(), read(path)?))).collect::<Result<_>>()?;
    Ok(Certificates { all, registries })
}

/// Loopback names in the guest would mean the guest: what is on this computer is reached through the guest's network.
/// Proxies of our environment are the guest's too.
fn for_guest(settings: &mut Settings, registries: &[String]) {
    for registry in registries {
        if let Some(there) = in_guest(registry) {
            let known = settings.registries.entry(registry.clone()).or_default();
            known.mirrors.push(format!("http://{there}"));
        }
    }
    for registry in settings.registries.values_mut() {
        for mirror in &mut registry.mirrors {
            let (scheme, rest) = mirror.split_once("://").unwrap_or(("http", mirror));
            if let Some(there) = in_guest(rest) {
                *mirror = format!("{scheme}://{there}");
            }
        }
    }
    let ours = |small: &str, large: &str| variable(small).or_else(|| variable(large)).filter(|value| !value.is_empty());
    let proxy = &mut settings.proxy;
    for (proxy, own) in
        [(&mut proxy.http, ours("http_proxy", "HTTP_PROXY")), (&mut proxy.https, ours("https_proxy", "HTTPS_PROXY"))]
    {
        *proxy = proxy.take().or(own).map(|url| match url.split_once("://") {
            Some((scheme, rest)) => in_guest(rest).map_or(url.clone(), |there| format!("{scheme}://{there}")),
            None => url,
        });
    }
    proxy.no_proxy = proxy.no_proxy.take().or_else(|| ours("no_proxy", "NO_PROXY"));
}

/// `HOST[:PORT][/REST]` of this computer's loopback as the guest reaches it; `None`: it means something else.
pub fn in_guest(address: &str) -> Option<String> {
    let rest = ["localhost", "127.0.0.1", "[::1]"].iter().find_map(|name| address.strip_prefix(name))?;
    (rest.is_empty() || rest.starts_with([':', '/'])).then(|| format!("{HOST_IN_GUEST}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_through_the_guests_network() {
        for (address, wanted) in [
            ("127.0.0.1:5000", Some("10.0.2.2:5000")),
            ("localhost/prefix", Some("10.0.2.2/prefix")),
            ("localhost.example:5000", None),
            ("docker.io", None),
        ] {
            assert_eq!(in_guest(address).as_deref(), wanted, "{address}");
        }
    }

    #[test]
    fn a_registry_here_becomes_a_mirror_there() {
        let mut settings = Settings::default();
        for_guest(&mut settings, &["localhost:5000".into(), "ghcr.io".into()]);
        assert_eq!(settings.registries["localhost:5000"].mirrors, ["http://10.0.2.2:5000"]);
        assert!(!settings.registries.contains_key("ghcr.io"));
    }
}

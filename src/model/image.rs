//! Images by name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where a box's image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImageSource {
    /// From a registry, or from the store under that name.
    Registry(ImageReference),
    /// An OCI image layout folder, and the tag in it (`org.opencontainers.image.ref.name`) when it has several.
    OciFolder(PathBuf, Option<String>),
    /// An OCI image layout in a tar file.
    OciArchive(PathBuf, Option<String>),
    /// What `docker save` writes, and the tag in it when it has several.
    DockerArchive(PathBuf, Option<String>),
    /// This computer's own root file system, read-only.
    Host,
}

/// A reference by the grammar of github.com/distribution/reference: `[registry/]repository[:tag][@digest]`, normalised
/// as docker does: `debian` is `docker.io/library/debian:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    /// Host name and optional port.
    pub registry: String,
    /// Path in the registry, with `library/` where docker implies it.
    pub repository: String,
    /// `latest` when neither tag nor digest is given.
    pub tag: Option<String>,
    /// `sha256:` and 64 hex digits.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Parses a reference as docker does.
    ///
    /// # Errors
    /// Says which part breaks which rule.
    pub fn parse(text: &str) -> Result<ImageReference, String> {
        let (name_and_tag, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(check_digest(digest)?)),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it belongs to the registry's port.
        let (name, tag) = match name_and_tag.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(check_tag(tag)?)),
            _ => (name_and_tag, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (check_registry(first)?, rest),
            _ => ("docker.io".to_owned(), name),
        };
        // The old name of docker.io, as docker itself treats it.
        let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
        let repository = match path.contains('/') {
            false if registry == "docker.io" => format!("library/{path}"),
            _ => path.to_owned(),
        };
        check_repository(&repository)?;
        if registry.len() + 1 + repository.len() > 255 {
            return Err("an image name has at most 255 characters".into());
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(ImageReference { registry, repository, tag, digest })
    }
}

/// `domain`: dot-separated components of letters, digits and inner dashes, or an address in brackets, and a port.
fn check_registry(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let component = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(component),
    };
    if !host_fits || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(format!("'{text}' is not a registry: HOST or HOST:PORT"));
    }
    Ok(text.to_owned())
}

/// `path-component`: lower-case letters and digits, joined by one '.', one or two '_', or any number of '-'.
fn check_repository(path: &str) -> Result<(), String> {
    for part in path.split('/') {
        let edges_fit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let separators_fit = part
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'));
        if !edges_fit(part.chars().next()) || !edges_fit(part.chars().next_back()) || !separators_fit {
            return Err(format!(
                "'{path}' is not an image name: it is made of a-z and 0-9, joined by '.', '_', '__', '-' and '/'"
            ));
        }
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if tag.is_empty() || tag.len() > 128 || !tag.chars().all(fits) || tag.starts_with(['.', '-']) {
        return Err(format!(
            "'{tag}' is not a tag: 1 to 128 of letters, digits, '_', '.', '-', not starting with '.' or '-'"
        ));
    }
    Ok(tag.to_owned())
}

fn check_digest(digest: &str) -> Result<String, String> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("'{digest}' is not a digest: 'sha256:' and 64 hex digits in lower case"));
    }
    Ok(digest.to_owned())
}

impl TryFrom<String> for ImageReference {
    type Error = String;
    fn try_from(text: String) -> Result<ImageReference, String> {
        ImageReference::parse(&text)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> String {
        reference.to_string()
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tagged = |f: &mut fmt::Formatter<'_>, kind: &str, path: &PathBuf, tag: &Option<String>| {
            write!(f, "{kind}:{}", path.display())?;
            tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
        };
        match self {
            ImageSource::Registry(reference) => reference.fmt(f),
            ImageSource::OciFolder(path, tag) => tagged(f, "oci", path, tag),
            ImageSource::OciArchive(path, tag) => tagged(f, "oci-archive", path, tag),
            ImageSource::DockerArchive(path, tag) => tagged(f, "docker-archive", path, tag),
            ImageSource::Host => f.write_str("host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, normal) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:bookworm", "docker.io/library/debian:bookworm"),
            ("me/app", "docker.io/me/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("ghcr.io/a/b__c/d-e.f:V1", "ghcr.io/a/b__c/d-e.f:V1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("index.docker.io/debian", "docker.io/library/debian:latest"),
            (&format!("debian@{digest}"), &format!("docker.io/library/debian@{digest}")),
            (&format!("debian:x@{digest}"), &format!("docker.io/library/debian:x@{digest}")),
        ] {
            assert_eq!(ImageReference::parse(text).map(|r| r.to_string()), Ok(normal.to_string()), "{text}");
        }
    }

    #[test]
    fn wrong_references_are_refused() {
        for text in [
            "",
            ":x",
            "A/b",
            "Debian",
            "a//b",
            "a..b",
            "a/../b",
            "-a",
            "a-",
            "a:",
            "a:-x",
            "a@sha256:1",
            "a b",
            "x.y:99999/a",
        ] {
            assert!(ImageReference::parse(text).is_err(), "{text}");
        }
    }
}

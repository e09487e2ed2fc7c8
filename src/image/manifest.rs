//! Manifests and indexes: which blobs make up an image for which computer.

use crate::image::digest::Digest;
use crate::model::{Failure, Kind, Result, Trying};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What we accept from a registry, best first.
pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Largest manifest we read. OCI distribution-spec, "Pushing Manifests": registries should accept 4 MiB.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;

/// Largest image config we read; real ones have a few hundred kilobytes at most.
pub const CONFIG_LIMIT_BYTES: u64 = 8 << 20;

/// Something with a digest and a size (OCI image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The source does not say the blob's digest (docker archives): `digest` is that of the tar inside.
    #[serde(skip)]
    pub unnamed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
}

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
    Index { manifests: Vec<Descriptor> },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: Option<u64>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

impl Document {
    /// Takes a manifest or index apart, by its content: media types are often wrong.
    ///
    /// # Errors
    /// It is neither, or of docker's schema 1.
    pub fn parse(bytes: &[u8]) -> Result<Document> {
        let written: Written = serde_json::from_slice(bytes).trying(|| "cannot understand the image's manifest")?;
        match written {
            Written { schema_version: Some(1), .. } => {
                Err(Failure::new("the manifest is of docker's schema 1, which registries gave up in 2020")
                    .hint("push the image again with a current tool"))
            }
            // Both lists at once is a trick: two readers would see two images (CVE-2021-41190).
            Written { manifests: Some(_), layers: Some(_), .. } => {
                Err(Failure::new("the manifest is an index and an image at once"))
            }
            Written { manifests: Some(manifests), .. } => Ok(Document::Index { manifests }),
            Written { config: Some(config), layers, .. } => {
                Ok(Document::Manifest { config, layers: layers.unwrap_or_default() })
            }
            _ => Err(Failure::new("the manifest names neither layers nor other manifests")),
        }
    }
}

/// A processor as images name it (Go's GOARCH and a variant).
fn go_platform(architecture: &str) -> (&str, Option<&str>) {
    match architecture {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "armv7l" => ("arm", Some("v7")),
        "armv6l" => ("arm", Some("v6")),
        "i686" | "i586" | "i386" => ("386", None),
        other => (other, None),
    }
}

/// The manifest in an index that suits this processor, as Linux names it: the same variant, then none, then any.
///
/// # Errors
/// There is none; says which there are.
pub fn choose<'a>(manifests: &'a [Descriptor], architecture: &str) -> Result<&'a Descriptor> {
    let (wanted, variant) = go_platform(architecture);
    let suits = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == wanted,
        None => manifests.len() == 1,
    };
    let rank = |descriptor: &&Descriptor| {
        let theirs = descriptor.platform.as_ref().and_then(|p| p.variant.as_deref()).filter(|v| !v.is_empty());
        match theirs {
            theirs if theirs == variant => 0,
            None => 1,
            Some(_) => 2,
        }
    };
    manifests.iter().filter(suits).min_by_key(rank).ok_or_else(|| {
        Failure::new(format!("the image is not made for linux/{wanted}, only for {}", list(manifests)))
            .kind(Kind::NotFound)
    })
}

fn list(manifests: &[Descriptor]) -> String {
    let mut names: Vec<String> = manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| match &platform.variant {
            Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
            None => format!("{}/{}", platform.os, platform.architecture),
        })
        .collect();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Whether an image's config says it is for another processor than this.
///
/// # Errors
/// It is.
pub fn check_architecture(theirs: Option<&str>, ours: &str) -> Result<()> {
    let (wanted, _) = go_platform(ours);
    match theirs {
        Some(theirs) if theirs != wanted => {
            Err(Failure::new(format!("the image is made for linux/{theirs}, this computer is linux/{wanted}"))
                .hint("take an image that is made for this computer"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(os: &str, architecture: &str, variant: Option<&str>, byte: u8) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(&[byte]),
            size: 1,
            platform: Some(Platform {
                architecture: architecture.into(),
                os: os.into(),
                variant: variant.map(Into::into),
            }),
            annotations: None,
            unnamed: false,
        }
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let all = [
            descriptor("windows", "amd64", None, 0),
            descriptor("linux", "amd64", None, 1),
            descriptor("linux", "arm", Some("v6"), 2),
            descriptor("linux", "arm", Some("v7"), 3),
            descriptor("linux", "arm64", None, 4),
            descriptor("linux", "arm64", Some("v8"), 5),
        ];
        for (architecture, byte) in [("x86_64", 1), ("armv7l", 3), ("armv6l", 2), ("aarch64", 5)] {
            assert_eq!(choose(&all, architecture).unwrap().digest, Digest::of(&[byte]), "{architecture}");
        }
        let failure = choose(&all, "riscv64").unwrap_err();
        assert!(failure.to_string().contains("linux/riscv64"), "{failure}");
        assert!(failure.to_string().contains("linux/arm/v7"), "{failure}");
    }

    #[test]
    fn documents_are_told_apart_by_content() {
        let blob = format!(r#"{{"digest":"{}","size":3}}"#, Digest::of(b"abc"));
        let manifest = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}]}}"#);
        assert!(matches!(Document::parse(manifest.as_bytes()).unwrap(), Document::Manifest { .. }));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{blob}]}}"#);
        assert!(matches!(Document::parse(index.as_bytes()).unwrap(), Document::Index { .. }));
        let both = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}],"manifests":[{blob}]}}"#);
        for bad in [both.as_str(), "{}", "", r#"{"schemaVersion":1}"#] {
            assert!(Document::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

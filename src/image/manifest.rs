//! Manifests and indexes: which blobs make up an image for which computer.

use crate::image::digest::Digest;
use crate::model::{Failure, Result, Trying};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What we accept from a registry, best first.
pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Largest manifest we read. OCI distribution-spec, "Pushing Manifests": registries should accept 4 MiB.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 << 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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

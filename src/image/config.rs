//! What an image says about how to run it.

use crate::image::digest::Digest;
use crate::model::{Failure, ImageReference, Result, Trying};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Largest image config we read; real ones have a few hundred kilobytes at most.
pub const CONFIG_LIMIT_BYTES: u64 = 8 << 20;

/// An image in the store, ready to be the lower part of an overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The name it was asked by; `None` for images from files.
    pub reference: Option<ImageReference>,
    /// Of the platform's manifest; of the config for docker archives, which have no manifest.
    pub digest: String,
    pub config: ImageConfig,
    /// Bottom first; folders of one parent, usable as overlay lowerdirs with `userxattr`.
    pub layers: Vec<PathBuf>,
    /// Of all files, unpacked.
    pub size_bytes: u64,
    /// RFC 3339, as the image says.
    pub created: Option<String>,
}

/// One line of the list of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageListed {
    pub reference: Option<ImageReference>,
    pub digest: String,
    pub size_bytes: u64,
    pub created: Option<String>,
}

/// The `config` object of an image (OCI image-spec, config.md). Absent lists are empty, except where absence means
/// something else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    /// `name`, `uid`, `name:group` or `uid:gid`; `None` is root.
    pub user: Option<String>,
    pub workdir: Option<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub stop_signal: Option<String>,
    /// `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// Paths that want a volume.
    pub volumes: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// The shell of `RUN` lines (docker).
    pub shell: Option<Vec<String>>,
}

/// A config blob, taken apart.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    pub config: ImageConfig,
    pub architecture: Option<String>,
    pub created: Option<String>,
    /// Digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Written {
    architecture: Option<String>,
    created: Option<String>,
    config: Option<WrittenConfig>,
    rootfs: Option<WrittenRootfs>,
}

#[derive(Deserialize)]
struct WrittenRootfs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct WrittenConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    env: Option<Vec<String>>,
    stop_signal: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
    shell: Option<Vec<String>>,
}

impl ConfigFile {
    /// Takes a config blob apart.
    ///
    /// # Errors
    /// It is no image config.
    pub fn parse(bytes: &[u8]) -> Result<ConfigFile> {
        let written: Written = serde_json::from_slice(bytes).trying(|| "cannot understand the image's config")?;
        let rootfs = written.rootfs.ok_or_else(|| Failure::new("the image's config lists no layers (rootfs)"))?;
        let diff_ids = rootfs.diff_ids.unwrap_or_default();
        Ok(ConfigFile {
            config: written.config.unwrap_or_default().into(),
            architecture: filled(written.architecture),
            created: filled(written.created),
            diff_ids: diff_ids.iter().map(|text| Digest::parse(text)).collect::<Result<_>>()?,
        })
    }
}

/// Builders write `""` for "not set".
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl From<WrittenConfig> for ImageConfig {
    fn from(written: WrittenConfig) -> ImageConfig {
        let keys = |map: Option<BTreeMap<String, _>>| map.unwrap_or_default().into_keys().collect();
        ImageConfig {
            entrypoint: written.entrypoint.filter(|words| !words.is_empty()),
            cmd: written.cmd.filter(|words| !words.is_empty()),
            user: filled(written.user),
            workdir: filled(written.working_dir),
            env: written.env.unwrap_or_default(),
            stop_signal: filled(written.stop_signal),
            exposed_ports: keys(written.exposed_ports),
            volumes: keys(written.volumes),
            labels: written.labels.unwrap_or_default(),
            shell: written.shell.filter(|words| !words.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_with_nulls_and_empty_strings_is_understood() {
        let text = br#"{"architecture":"amd64","config":{"Env":["A=b"],"Cmd":null,"Entrypoint":[],"User":"",
            "ExposedPorts":{"80/tcp":{}},"Volumes":null,"Labels":null,"WorkingDir":"/srv"},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.architecture.as_deref(), Some("amd64"));
        assert_eq!(file.config.env, ["A=b"]);
        assert_eq!((file.config.cmd, file.config.entrypoint, file.config.user), (None, None, None));
        assert_eq!(file.config.exposed_ports, ["80/tcp"]);
        assert_eq!(file.config.workdir.as_deref(), Some("/srv"));
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for text in ["", "[]", "{}", r#"{"rootfs":{"diff_ids":["md5:00"]}}"#] {
            assert!(ConfigFile::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

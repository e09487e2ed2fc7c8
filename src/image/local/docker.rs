//! What `docker save` writes (Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format").

use crate::image::config::CONFIG_LIMIT_BYTES;
use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::layer::place::clean;
use crate::image::local::LocalImage;
use crate::image::local::files::{Files, read_small};
use crate::image::manifest::{Descriptor, MANIFEST_LIMIT_BYTES};
use crate::model::{Failure, ImageReference, Kind, Result, Trying};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Finds an image in an archive. It is known by the digest of its config, which docker calls the image's id.
///
/// # Errors
/// It is no such archive, has several images, or files are missing or damaged.
pub fn open(files: Box<dyn Files>, tag: Option<&str>) -> Result<LocalImage> {
    let list = read_small(&*files, "manifest.json", MANIFEST_LIMIT_BYTES).trying(|| "it is no docker archive")?;
    let all: Vec<Saved> = serde_json::from_slice(&list).trying(|| "cannot understand its manifest.json")?;
    let saved = pick(&all, tag)?;
    let config_json = read_small(&*files, &inside(&saved.config)?, CONFIG_LIMIT_BYTES)?;
    let config = ConfigFile::parse(&config_json)?;
    if config.diff_ids.len() != saved.layers.len() {
        let (named, there) = (config.diff_ids.len(), saved.layers.len());
        return Err(Failure::new(format!("its config names {named} layers but {there} are there")));
    }
    let (mut layers, mut paths) = (Vec::new(), std::collections::HashMap::new());
    for (diff_id, path) in config.diff_ids.iter().zip(&saved.layers) {
        let path = inside(path)?;
        let (_, size) = files.open_file(&path)?;
        layers.push(Descriptor {
            media_type: String::new(),
            digest: diff_id.clone(),
            size,
            platform: None,
            annotations: None,
            unnamed: true,
        });
        paths.insert(diff_id.clone(), path);
    }
    Ok(LocalImage { digest: Digest::of(&config_json), config_json, config, layers, paths, files })
}

fn pick<'a>(all: &'a [Saved], tag: Option<&str>) -> Result<&'a Saved> {
    let tags = || {
        let names: Vec<&str> =
            all.iter().flat_map(|saved| saved.repo_tags.iter().flatten()).map(String::as_str).collect();
        names.join(", ")
    };
    let same = |saved: &&Saved, wanted: &ImageReference| {
        let mut tags = saved.repo_tags.iter().flatten();
        tags.any(|tag| ImageReference::parse(tag).is_ok_and(|tag| tag == *wanted))
    };
    match (tag, all) {
        (Some(tag), _) => {
            let wanted = ImageReference::parse(tag).trying(|| format!("'{tag}' is no image name"))?;
            let found = all.iter().find(|saved| same(saved, &wanted));
            found.ok_or_else(|| {
                Failure::new(format!("it has no image tagged '{tag}', only: {}", tags())).kind(Kind::NotFound)
            })
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::new("it has no image in it").kind(Kind::NotFound)),
        (None, _) => {
            Err(Failure::new(format!("it has several images: {}", tags()))
                .hint("add a name: docker-archive:FILE:NAME:TAG"))
        }
    }
}

fn inside(path: &str) -> Result<String> {
    let cleaned = clean(path.as_bytes(), 4096)?;
    String::from_utf8(cleaned).trying(|| "a name in manifest.json is no text")
}

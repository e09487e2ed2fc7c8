//! OCI image layouts (OCI image-spec, image-layout.md).

use crate::image::config::CONFIG_LIMIT_BYTES;
use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::local::LocalImage;
use crate::image::local::files::{Files, read_small};
use crate::image::manifest::{Descriptor, Document, MANIFEST_LIMIT_BYTES};
use crate::image::platform::choose;
use crate::model::{Failure, Kind, Result, Trying};

/// Annotation with the tag.
const TAG: &str = "org.opencontainers.image.ref.name";

/// Indexes inside indexes; tools write two at most.
const DEPTH_LIMIT: usize = 4;

/// Finds an image in a layout.
///
/// # Errors
/// It is no layout, has several images, or blobs are missing or damaged.
pub fn open(files: Box<dyn Files>, tag: Option<&str>, architecture: &str) -> Result<LocalImage> {
    let index = read_small(&*files, "index.json", MANIFEST_LIMIT_BYTES).trying(|| "it is no OCI image layout")?;
    let Document::Index { manifests } = Document::parse(&index)? else {
        return Err(Failure::new("its index.json is no index"));
    };
    let mut descriptor = pick(&manifests, tag, architecture)?.clone();
    for _ in 0..DEPTH_LIMIT {
        let bytes = blob(&*files, &descriptor.digest, MANIFEST_LIMIT_BYTES)?;
        match Document::parse(&bytes)? {
            Document::Index { manifests } => descriptor = choose(&manifests, architecture)?.clone(),
            Document::Manifest { config, layers } => {
                let config_json = blob(&*files, &config.digest, CONFIG_LIMIT_BYTES)?;
                check_layers(&*files, &layers)?;
                let paths = layers.iter().map(|layer| (layer.digest.clone(), path(&layer.digest))).collect();
                let config = ConfigFile::parse(&config_json)?;
                return Ok(LocalImage { digest: descriptor.digest, config_json, config, layers, paths, files });
            }
        }
    }
    Err(Failure::new("its indexes lead to indexes without end"))
}

/// The entry with the tag, or the only one, or the one for this computer when they differ by platform alone.
fn pick<'a>(manifests: &'a [Descriptor], tag: Option<&str>, architecture: &str) -> Result<&'a Descriptor> {
    let tag_of = |descriptor: &'a Descriptor| descriptor.annotations.as_ref()?.get(TAG).map(String::as_str);
    let mut tags: Vec<&str> = manifests.iter().filter_map(tag_of).collect();
    tags.sort_unstable();
    tags.dedup();
    match (tag, manifests) {
        (Some(tag), _) => manifests.iter().find(|descriptor| tag_of(descriptor) == Some(tag)).ok_or_else(|| {
            Failure::new(format!("it has no image tagged '{tag}', only: {}", tags.join(", "))).kind(Kind::NotFound)
        }),
        (None, []) => Err(Failure::new("it has no image in it").kind(Kind::NotFound)),
        (None, [only]) => Ok(only),
        (None, several) if tags.len() <= 1 => choose(several, architecture),
        (None, _) => {
            Err(Failure::new(format!("it has several images: {}", tags.join(", "))).hint("add a tag: oci:FOLDER:TAG"))
        }
    }
}

/// That all layers are there in their full length, before any of them is unpacked.
fn check_layers(files: &dyn Files, layers: &[Descriptor]) -> Result<()> {
    for layer in layers {
        let (_, size) = files.open_file(&path(&layer.digest))?;
        if size != layer.size {
            let (digest, wanted) = (&layer.digest, layer.size);
            return Err(Failure::new(format!("the blob {digest} has {size} bytes but should have {wanted}")));
        }
    }
    Ok(())
}

fn blob(files: &dyn Files, digest: &Digest, limit_bytes: u64) -> Result<Vec<u8>> {
    let bytes = read_small(files, &path(digest), limit_bytes)?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(Failure::new(format!("the blob {digest} is damaged: it is {found}")));
    }
    Ok(bytes)
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

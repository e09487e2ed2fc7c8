//! `image …`: the store.

use super::site::{Computer, boxes_of};
use crate::image::{Image, ImageListed as Stored};
use crate::model::status::ImageListed;
use crate::model::{Failure, ImageReference, ImageSource, Kind, Result};
use crate::ops::Context;
use crate::state::record::project_ids;
use crate::sys::linux::{interrupt, userns};
use std::collections::BTreeSet;

/// The images in the store.
///
/// # Errors
/// Its records cannot be read.
pub fn image_list(context: &Context) -> Result<Vec<ImageListed>> {
    Ok(Computer::look(context.caller.as_ref())?.store()?.list()?.into_iter().map(listed).collect())
}

fn listed(image: Stored) -> ImageListed {
    ImageListed {
        reference: image.reference.map_or_else(|| "<none>".into(), |reference| reference.to_string()),
        digest: image.digest,
        size_bytes: image.size_bytes,
        created: image.created,
    }
}

fn of_image(image: Image, reference: Option<ImageReference>) -> ImageListed {
    let reference = reference.or(image.reference);
    listed(Stored { reference, digest: image.digest, size_bytes: image.size_bytes, created: image.created })
}

/// Asks the registry for an image, and gets what of it is not in the store.
///
/// # Errors
/// It cannot be had.
pub fn image_pull(context: &Context, text: &str) -> Result<ImageListed> {
    let source = parse(context, text)?;
    if source == ImageSource::Host {
        return Err(Failure::new("`host` is this computer's own tree: there is nothing to pull").kind(Kind::Usage));
    }
    fetch(context, &source, None)
}

/// Brings an image from a folder or file into the store, under `name` when one is given.
///
/// # Errors
/// It is not there, or not an image.
pub fn image_import(context: &Context, text: &str, name: Option<&str>) -> Result<ImageListed> {
    let source = parse(context, text)?;
    if matches!(source, ImageSource::Registry(_) | ImageSource::Host) {
        return Err(Failure::new(format!("'{text}' is neither a folder nor a file"))
            .kind(Kind::Usage)
            .hint("write oci:FOLDER, oci-archive:FILE or docker-archive:FILE, each with :TAG when it holds several"));
    }
    image_bring(context, &source, name)
}

/// As [`image_import`], where it is known which files are meant.
///
/// # Errors
/// As there.
pub fn image_bring(context: &Context, source: &ImageSource, name: Option<&str>) -> Result<ImageListed> {
    fetch(context, source, name.map(reference).transpose()?)
}

fn fetch(context: &Context, source: &ImageSource, name: Option<ImageReference>) -> Result<ImageListed> {
    let computer = Computer::of(context)?;
    let settings = computer.settings()?;
    interrupt::watch();
    userns::enter_new(computer.map())?;
    let store = computer.store()?;
    let image = store.obtain(source, &settings, true, &interrupt::wanted, &context.events)?;
    if let Some(name) = &name {
        store.name(&image, name)?;
    }
    Ok(of_image(image, name))
}

/// Removes names from the store, and with its last name an image's layers unless a box uses them.
///
/// # Errors
/// There is no such image.
pub fn image_remove(context: &Context, names: &[String]) -> Result<()> {
    let computer = Computer::look(context.caller.as_ref())?;
    userns::enter_new(computer.map())?;
    let store = computer.store()?;
    for name in names {
        store.remove(name)?;
    }
    store.prune(&everything_used(&computer, true)?).map(drop)
}

/// Removes what no box uses: images, layers of setups, leftovers. Gives the bytes freed.
///
/// # Errors
/// Something cannot be removed.
pub fn image_prune(context: &Context) -> Result<u64> {
    let computer = Computer::look(context.caller.as_ref())?;
    userns::enter_new(computer.map())?;
    computer.store()?.prune(&everything_used(&computer, false)?)
}

/// Digests of images and names of layers that boxes stand on; with `named`, of all images that have a name as well.
fn everything_used(computer: &Computer, named: bool) -> Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for id in project_ids(&computer.layout.projects())? {
        for known in boxes_of(&computer.layout.project(&id))?.into_values() {
            used.extend(known.record.digest);
            let names =
                known.record.layers.iter().filter_map(|layer| Some(layer.file_name()?.to_string_lossy().into_owned()));
            used.extend(names);
        }
    }
    if named {
        used.extend(computer.store()?.list()?.into_iter().map(|image| image.digest));
    }
    Ok(used)
}

fn parse(context: &Context, text: &str) -> Result<ImageSource> {
    crate::config::image_source(text, &context.folder, &crate::sys::environment::variable)
}

fn reference(text: &str) -> Result<ImageReference> {
    ImageReference::parse(text).map_err(|why| Failure::new(why).kind(Kind::Usage))
}

//! `image …` in the store of the place.

use super::call::call;
use super::elsewhere::{Elsewhere, unless};
use super::far::Far;
use crate::model::call::Verb;
use crate::model::status::ImageListed;
use crate::model::{Failure, ImageReference, ImageSource, Kind, Result};
use crate::sys::environment::variable;
use serde::de::DeserializeOwned;
use std::io::sink;

/// The images in the store.
///
/// # Errors
/// The place cannot be reached.
pub fn image_list(elsewhere: &Elsewhere) -> Result<Vec<ImageListed>> {
    ask(elsewhere, Verb::ImageList)
}

/// Asks the registry for an image.
///
/// # Errors
/// It cannot be had.
pub fn image_pull(elsewhere: &Elsewhere, text: &str) -> Result<ImageListed> {
    ask(elsewhere, Verb::ImagePull { reference: text.to_owned() })
}

/// Removes images.
///
/// # Errors
/// There is no such image.
pub fn image_remove(elsewhere: &Elsewhere, names: &[String]) -> Result<()> {
    ask(elsewhere, Verb::ImageRemove { names: names.to_vec() })
}

/// Removes what no box uses; gives the bytes freed.
///
/// # Errors
/// Something cannot be removed.
pub fn image_prune(elsewhere: &Elsewhere) -> Result<u64> {
    ask(elsewhere, Verb::ImagePrune)
}

/// Brings an image from a folder or file of this computer into the store there; what of it is there is not sent.
///
/// # Errors
/// It is not there, or not an image.
pub fn image_import(elsewhere: &Elsewhere, text: &str, name: Option<&str>) -> Result<ImageListed> {
    let source = crate::config::image_source(text, &elsewhere.context.folder, &variable)?;
    if matches!(source, ImageSource::Registry(_) | ImageSource::Host) {
        return Err(Failure::new(format!("'{text}' is neither a folder nor a file"))
            .kind(Kind::Usage)
            .hint("write oci:FOLDER, oci-archive:FILE or docker-archive:FILE, each with :TAG when it holds several"));
    }
    ask(elsewhere, Verb::ImageImport { source, name: name.map(str::to_owned) })
}

fn ask<T: DeserializeOwned>(elsewhere: &Elsewhere, verb: Verb) -> Result<T> {
    let registry = match &verb {
        Verb::ImagePull { reference } => ImageReference::parse(reference).ok().map(|reference| reference.registry),
        _ => None,
    };
    let caller = elsewhere.caller_of(None, registry.as_slice())?;
    let events = elsewhere.context.events.clone();
    elsewhere.run(async |mut interrupt| {
        let far = unless(&mut interrupt, Far::reach(elsewhere)).await?;
        call(&far, caller, verb, &*events, &mut sink(), &mut interrupt).await
    })
}

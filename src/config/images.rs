//! `image`: where a box's image comes from.

use super::env::HostEnvironment;
use super::paths::{Wrong, host_path};
use crate::model::{Failure, ImageReference, ImageSource, Kind};
use std::path::Path;

/// What `image` names; `folder` is where relative paths start.
///
/// # Errors
/// It is no reference, or the folder or file it names does not exist.
pub fn resolve_image(text: &str, folder: &Path, host: &HostEnvironment<'_>) -> Result<ImageSource, Wrong> {
    if text == "host" {
        return Ok(ImageSource::Host);
    }
    let on_disk = |rest: &str| {
        let (path, tag) = split_tag(rest);
        let full = host_path(path, folder, host);
        match full.exists() && !path.is_empty() {
            true => Ok((full, tag)),
            false => Err((format!("{} does not exist", full.display()), None)),
        }
    };
    if let Some(rest) = text.strip_prefix("oci:") {
        return on_disk(rest).map(|(path, tag)| ImageSource::OciFolder(path, tag));
    }
    if let Some(rest) = text.strip_prefix("oci-archive:") {
        return on_disk(rest).map(|(path, tag)| ImageSource::OciArchive(path, tag));
    }
    if let Some(rest) = text.strip_prefix("docker-archive:") {
        return on_disk(rest).map(|(path, tag)| ImageSource::DockerArchive(path, tag));
    }
    let forms = "a reference as `debian:bookworm`, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, or `host`";
    let lower = text.to_lowercase();
    let help = || match ImageReference::parse(&lower) {
        Ok(_) => format!("did you mean \"{lower}\"?"),
        Err(_) => forms.to_owned(),
    };
    ImageReference::parse(text).map(ImageSource::Registry).map_err(|why| (why, Some(help())))
}

/// What a word on the command line names, as `image` in a file would.
///
/// # Errors
/// It is no reference, or the folder or file it names does not exist.
pub fn image_source(
    text: &str,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ImageSource, Failure> {
    resolve_image(text, folder, &HostEnvironment::new(environment)).map_err(|(why, help)| {
        let failure = Failure::new(format!("'{text}' names no image: {why}")).kind(Kind::Usage);
        match help {
            Some(help) => failure.hint(help),
            None => failure,
        }
    })
}

/// `PATH[:TAG]`. A tag may be a whole reference (`shop.tar:me/shop:1`), so the first colon counts and paths hold none.
fn split_tag(text: &str) -> (&str, Option<String>) {
    match text.split_once(':') {
        Some((path, tag)) if !tag.is_empty() => (path, Some(tag.to_owned())),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_understood() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.tar"), "").expect("a file");
        let nothing = |_: &str| None;
        let host = HostEnvironment::new(&nothing);
        let resolve = |text: &str| resolve_image(text, folder.path(), &host);
        let file = folder.path().join("a.tar");
        assert_eq!(resolve("host"), Ok(ImageSource::Host));
        assert_eq!(resolve("oci:a.tar"), Ok(ImageSource::OciFolder(file.clone(), None)));
        assert_eq!(resolve("oci-archive:./a.tar:x"), Ok(ImageSource::OciArchive(file.clone(), Some("x".into()))));
        assert_eq!(
            resolve("docker-archive:a.tar:me/shop:1"),
            Ok(ImageSource::DockerArchive(file, Some("me/shop:1".into())))
        );
        assert!(matches!(resolve("debian"), Ok(ImageSource::Registry(_))));
        for wrong in ["", "Debian", "oci:missing", "oci:", "a b"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}

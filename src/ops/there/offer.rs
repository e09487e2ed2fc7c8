//! What the far side may ask of this computer while it carries out a verb: credentials for the registries of the verb's
//! images, and the files of its images that are files. Nothing else is given, whatever it asks.

use super::caller::{HOST_IN_GUEST, in_guest};
use crate::image::credentials;
use crate::model::call::{Caller, Verb};
use crate::model::frame::{ToFar, Told};
use crate::model::supply::{Credentials, Given, LONGEST_PIECE_BYTES, Question};
use crate::model::{Failure, ImageReference, ImageSource, Result, Settings, Trying};
use crate::sys::fs;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What may be asked for.
#[derive(Debug, Default)]
pub struct Offer {
    /// Names under which credentials are kept.
    accounts: BTreeSet<String>,
    archives: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Offer {
    /// What `verb` needs.
    pub fn of(caller: &Caller, verb: &Verb) -> Offer {
        let mut offer = Offer::default();
        match verb {
            Verb::Up(_) => {
                let wanted = caller.project.iter().filter_map(|called| called.wanted.as_ref());
                wanted.flat_map(|project| &project.boxes).for_each(|one| offer.add(&one.image, &caller.settings));
            }
            Verb::ImageImport { source, .. } => offer.add(source, &caller.settings),
            Verb::ImagePull { reference } => {
                let parsed = ImageReference::parse(reference).map(ImageSource::Registry);
                parsed.iter().for_each(|source| offer.add(source, &caller.settings));
            }
            _ => {}
        }
        offer
    }

    fn add(&mut self, source: &ImageSource, settings: &Settings) {
        match source {
            ImageSource::Registry(reference) => {
                self.accounts.insert(reference.registry.clone());
                let known = settings.registries.get(&reference.registry);
                let mirrors = known.iter().flat_map(|registry| &registry.mirrors);
                self.accounts.extend(mirrors.map(|mirror| host_of(mirror).to_owned()));
            }
            ImageSource::OciFolder(path, _) => drop(self.folders.insert(path.clone())),
            ImageSource::OciArchive(path, _) | ImageSource::DockerArchive(path, _) => {
                self.archives.insert(path.clone());
            }
            ImageSource::Host => {}
        }
    }

    /// The answer to a question. Blocks: a credential helper may ask a person.
    pub fn answer(&self, question: &Question) -> ToFar {
        let answered = match question {
            Question::Credentials { account, repository } => {
                self.credentials(account, repository).map(|found| ToFar::Given(Given::Credentials { found }))
            }
            Question::Length { image, file } => {
                self.length(image, file.as_deref()).map(|bytes| ToFar::Given(Given::Length { bytes }))
            }
            Question::Piece { image, file, at, length } => {
                self.piece(image, file.as_deref(), *at, *length).map(ToFar::Piece)
            }
        };
        answered.unwrap_or_else(|failure| ToFar::Given(Given::Failed(Told::of(&failure))))
    }

    fn credentials(&self, account: &str, repository: &str) -> Result<Option<Credentials>> {
        if !self.accounts.contains(account) {
            return Err(Failure::new(format!(
                "the far side asks for credentials of {account}, which it has no need of"
            )));
        }
        for name in self.names_here(account) {
            if let Some(found) = credentials::find(&name, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What a registry is called on this computer, whose loopback the VM reaches under another name.
    fn names_here(&self, account: &str) -> Vec<String> {
        let rest = account.strip_prefix(HOST_IN_GUEST).filter(|rest| rest.is_empty() || rest.starts_with(':'));
        let all: Vec<String> = rest
            .iter()
            .flat_map(|rest| ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}{rest}")))
            .collect();
        let meant: Vec<String> = all.iter().filter(|name| self.accounts.contains(*name)).cloned().collect();
        match (meant.is_empty(), all.is_empty()) {
            (false, _) => meant,
            // A mirror on this computer's loopback.
            (true, false) => all,
            (true, true) => vec![account.to_owned()],
        }
    }

    /// What the far side tells, with this computer's own names of its registries.
    pub fn in_our_words(&self, told: Told) -> Told {
        let in_our_words = |text: String| {
            self.accounts.iter().fold(text, |text, account| match in_guest(account) {
                Some(there) => text.replace(&there, account),
                None => text,
            })
        };
        let Told { causes, hint, kind } = told;
        Told { causes: causes.into_iter().map(in_our_words).collect(), hint: hint.map(in_our_words), kind }
    }

    fn length(&self, image: &Path, file: Option<&str>) -> Result<Option<u64>> {
        let path = self.path(image, file)?;
        match std::fs::metadata(&path) {
            Ok(facts) if facts.is_file() => Ok(Some(facts.len())),
            Ok(_) => Err(Failure::new(format!("{} is no file", path.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound && image.exists() => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(fs::missing(image)),
            Err(error) => Err(error).trying(|| format!("cannot read {}", path.display())),
        }
    }

    fn piece(&self, image: &Path, file: Option<&str>, at: u64, length: u32) -> Result<Vec<u8>> {
        let path = self.path(image, file)?;
        let mut piece = vec![0; (length as usize).min(LONGEST_PIECE_BYTES)];
        let read = (|| {
            let file = File::open(&path)?;
            let mut filled = 0;
            while filled < piece.len() {
                match file.read_at(&mut piece[filled..], at + filled as u64)? {
                    0 => break,
                    length => filled += length,
                }
            }
            std::io::Result::Ok(filled)
        })();
        piece.truncate(read.trying(|| format!("cannot read {}", path.display()))?);
        Ok(piece)
    }

    /// The file that is meant, if it is one of an image of ours.
    fn path(&self, image: &Path, file: Option<&str>) -> Result<PathBuf> {
        match file {
            None if self.archives.contains(image) => Ok(image.to_owned()),
            Some(file) if self.folders.contains(image) && is_of_layout(file) => Ok(image.join(file)),
            _ => Err(Failure::new(format!("the far side asks for {}, which it has no need of", image.display()))),
        }
    }
}

/// Whether a path is one of an OCI image layout (image-layout.md): nothing else of a folder is anybody's business.
fn is_of_layout(path: &str) -> bool {
    let is_blob = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(path, "index.json" | "oci-layout") || path.strip_prefix("blobs/sha256/").is_some_and(is_blob)
}

/// `HOST[:PORT]` of a mirror.
fn host_of(mirror: &str) -> &str {
    let rest = mirror.split_once("://").map_or(mirror, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::RegistrySettings;

    fn is_refused(answer: &ToFar) -> bool {
        matches!(answer, ToFar::Given(Given::Failed(told)) if told.causes[0].contains("has no need of"))
    }

    #[test]
    fn files_of_the_verbs_images_are_given_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        std::fs::create_dir(&layout).unwrap();
        std::fs::write(layout.join("index.json"), "{}").unwrap();
        std::fs::write(layout.join("secret"), "s").unwrap();
        let archive = folder.path().join("a.tar");
        std::fs::write(&archive, "0123456789").unwrap();
        let mut offer = Offer::default();
        offer.add(&ImageSource::OciFolder(layout.clone(), None), &Settings::default());
        offer.add(&ImageSource::DockerArchive(archive.clone(), None), &Settings::default());
        let length = |image: &Path, file: Option<&str>| {
            offer.answer(&Question::Length { image: image.to_owned(), file: file.map(str::to_owned) })
        };
        assert_eq!(length(&archive, None), ToFar::Given(Given::Length { bytes: Some(10) }));
        assert_eq!(length(&layout, Some("index.json")), ToFar::Given(Given::Length { bytes: Some(2) }));
        assert_eq!(length(&layout, Some("oci-layout")), ToFar::Given(Given::Length { bytes: None }));
        for (image, file) in [
            (&layout, Some("secret")),
            (&layout, Some("../a.tar")),
            (&layout, Some("blobs/sha256/../../secret")),
            (&layout, None),
            (&archive, Some("index.json")),
            (&PathBuf::from("/etc/passwd"), None),
        ] {
            assert!(is_refused(&length(image, file)), "{image:?} {file:?}");
        }
        let piece = Question::Piece { image: archive, file: None, at: 7, length: u32::MAX };
        assert_eq!(offer.answer(&piece), ToFar::Piece(b"789".into()));
    }

    #[test]
    fn credentials_are_given_for_the_registries_of_the_images_only() {
        let mut settings = Settings::default();
        let mirrors = vec!["https://mirror.example/hub".to_owned(), "10.0.2.2:5000".to_owned()];
        settings.registries.insert("docker.io".into(), RegistrySettings { mirrors, ..RegistrySettings::default() });
        let mut offer = Offer::default();
        offer.add(&ImageSource::Registry(ImageReference::parse("debian").unwrap()), &settings);
        assert_eq!(offer.accounts.iter().collect::<Vec<_>>(), ["10.0.2.2:5000", "docker.io", "mirror.example"]);
        let other = Question::Credentials { account: "ghcr.io".into(), repository: "me/secret".into() };
        assert!(is_refused(&offer.answer(&other)));
    }

    #[test]
    fn this_computers_loopback_has_its_own_names() {
        let mut offer = Offer::default();
        assert_eq!(offer.names_here("ghcr.io"), ["ghcr.io"]);
        assert_eq!(offer.names_here("10.0.2.2:5000"), ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"]);
        assert_eq!(offer.names_here("10.0.2.22:5000"), ["10.0.2.22:5000"]);
        assert_eq!(in_guest("127.0.0.1:5000").as_deref(), Some("10.0.2.2:5000"));
        assert_eq!((in_guest("localhost.example:5000"), in_guest("docker.io")), (None, None));
        let image = ImageReference::parse("127.0.0.1:5000/a").unwrap();
        offer.add(&ImageSource::Registry(image), &Settings::default());
        assert_eq!(offer.names_here("10.0.2.2:5000"), ["127.0.0.1:5000"]);
    }
}

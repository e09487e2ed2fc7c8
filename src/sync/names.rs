//! Which names a file system takes for one, and which it does not take at all.

use super::path::TreePath;
use crate::sys::folder::{Folder, facts_of, set_mode};
use crate::sys::fs::random_bytes;
use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io;

/// What the file system of a side makes of names and modes. The default is that of ext4, xfs, btrfs: names are bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// `A` and `a` are one name.
    pub folds_case: bool,
    /// A letter with its accent and a letter followed by its accent are one name.
    pub normalises: bool,
    /// It lists names in another form than they were given in (HFS+).
    pub rewrites: bool,
    /// Names that are not UTF-8 are refused.
    pub only_utf8: bool,
    /// Permission bits do not stay as they are set (FAT, NTFS).
    pub loses_modes: bool,
}

impl Rules {
    /// Asks the file system of `root`: makes an empty file in `aside`, a folder on the same file system outside of what
    /// is synced, and removes it. ext4 can fold case in some folders only, so what is in `root` is looked at too.
    ///
    /// # Errors
    /// No file can be made.
    pub fn of(root: &Folder, aside: &Folder) -> io::Result<Rules> {
        let mark = u64::from_ne_bytes(random_bytes().map_err(io::Error::other)?);
        let probe = Probe { aside, name: format!("{mark:x}-Name-\u{e9}") };
        let mut rules = probe.ask()?;
        if !rules.folds_case && folds_here(root)? {
            // Linux, admin-guide/ext4, "Case-insensitive file name lookups": it normalises as well.
            (rules.folds_case, rules.normalises) = (true, true);
        }
        Ok(rules)
    }

    /// Whether two names that differ in bytes may be one.
    pub fn folds(self) -> bool {
        self.folds_case || self.normalises
    }

    /// Names with equal keys are one name. Letters are compared one by one, so a sharp s and `ss` stay two: a file system that
    /// folds more than this refuses the second name when it comes to it.
    pub fn key(self, name: &[u8]) -> Vec<u8> {
        let text = match std::str::from_utf8(name) {
            Ok(text) if self.folds() => text,
            _ => return name.to_owned(),
        };
        if text.is_ascii() {
            return if self.folds_case { name.to_ascii_lowercase() } else { name.to_owned() };
        }
        let composed = if self.normalises { compose(text) } else { Cow::Borrowed(text) };
        let folded = if self.folds_case { fold(&composed) } else { composed.into_owned() };
        // Folding can leave letters that compose.
        if self.normalises { compose(&folded).into_owned() } else { folded }.into_bytes()
    }

    /// Why the file system does not take a name at all.
    pub fn refusal(self, name: &[u8]) -> Option<&'static str> {
        match std::str::from_utf8(name) {
            Err(_) if self.only_utf8 => Some("takes only names in UTF-8"),
            // It would come back as another name.
            Ok(text) if self.rewrites && compose(text) != text => {
                Some("takes accented letters in one piece only (NFC)")
            }
            _ => None,
        }
    }

    /// A path as it is told to the other side.
    pub fn told_path(self, path: &TreePath) -> TreePath {
        match self.rewrites {
            true => path.parts().fold(TreePath::root(), |path, name| path.join(&self.told(name.into()))),
            false => path.clone(),
        }
    }

    /// A name as it is told to the other side.
    pub fn told(self, name: Box<[u8]>) -> Box<[u8]> {
        match std::str::from_utf8(&name) {
            Ok(text) if self.rewrites && !text.is_ascii() => compose(text).as_bytes().into(),
            _ => name,
        }
    }
}

/// A file that is there for as long as it is asked about.
struct Probe<'a> {
    aside: &'a Folder,
    name: String,
}

impl Probe<'_> {
    fn ask(&self) -> io::Result<Rules> {
        let file = self.aside.create(self.name.as_bytes(), 0o600)?;
        let has = |name: String| Ok::<_, io::Error>(self.aside.look(name.as_bytes())?.is_some());
        let keeps = |mode: u16| set_mode(&file, mode).is_ok() && facts_of(&file).is_ok_and(|facts| facts.mode == mode);
        let not_utf8 = [self.name.as_bytes(), b"\xff"].concat();
        let only_utf8 = match self.aside.create(&not_utf8, 0o600) {
            Ok(_) => self.aside.unlink(&not_utf8).map(|()| false)?,
            Err(_) => true,
        };
        Ok(Rules {
            folds_case: has(self.name.replace("Name", "nAME"))?,
            normalises: has(self.name.replace('\u{e9}', "e\u{301}"))?,
            rewrites: !self.aside.names()?.iter().any(|name| **name == *self.name.as_bytes()),
            only_utf8,
            // Both are unlikely as what a mount gives to all of its files.
            loses_modes: !(keeps(0o640) && keeps(0o711)),
        })
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let _ = self.aside.unlink(self.name.as_bytes());
    }
}

/// Whether something in a folder is found under its name in the other case.
fn folds_here(folder: &Folder) -> io::Result<bool> {
    let names = folder.names()?;
    for name in names.iter().filter(|name| name.iter().any(u8::is_ascii_alphabetic)) {
        let other: Vec<u8> = name.iter().map(|byte| swapped(*byte)).collect();
        if names.iter().any(|name| **name == *other) {
            return Ok(false);
        }
        if let Some(facts) = folder.look(name)? {
            return Ok(folder.look(&other)?.is_some_and(|found| found.inode == facts.inode));
        }
    }
    Ok(false)
}

fn swapped(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
}

fn compose(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Simple case folding: by way of the capital, since several small letters can share one.
fn fold(text: &str) -> String {
    let one = |letter: char| {
        let mut upper = letter.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(capital), None) => capital,
            _ => letter,
        }
    };
    text.chars().map(one).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_file_system_takes_for_one_have_one_key() {
        let case = Rules { folds_case: true, ..Rules::default() };
        let form = Rules { normalises: true, ..Rules::default() };
        let both = Rules { folds_case: true, normalises: true, ..Rules::default() };
        for (rules, one, two, same) in [
            (Rules::default(), "a", "A", false),
            (case, "Read Me.TXT", "read me.txt", true),
            (case, "\u{c9}t\u{e9}", "\u{e9}t\u{c9}", true),
            (case, "\u{3c3}", "\u{3c2}", true),
            (case, "stra\u{df}e", "strasse", false),
            (case, "\u{e9}", "e\u{301}", false),
            (form, "\u{e9}", "e\u{301}", true),
            (form, "\u{e9}", "E\u{301}", false),
            (both, "\u{e9}", "E\u{301}", true),
            (both, "a", "b", false),
        ] {
            assert_eq!(rules.key(one.as_bytes()) == rules.key(two.as_bytes()), same, "{one} {two}");
        }
        assert_ne!(both.key(b"a\xff"), both.key(b"A\xff"));
    }

    #[test]
    fn a_file_system_is_asked_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let open = Folder::at(folder.path()).unwrap();
        let rules = Rules::of(&open, &open).unwrap();
        assert!(!rules.loses_modes && !rules.rewrites);
        #[cfg(target_os = "linux")]
        assert_eq!(rules, Rules::default());
        assert!(open.names().unwrap().is_empty());
        std::fs::write(folder.path().join("a"), "").unwrap();
        std::fs::write(folder.path().join("1"), "").unwrap();
        assert_eq!(folds_here(&open).unwrap(), rules.folds_case);
    }

    #[test]
    fn decomposed_names_are_told_composed() {
        let rules = Rules { rewrites: true, normalises: true, ..Rules::default() };
        assert_eq!(&*rules.told("e\u{301}".as_bytes().into()), "\u{e9}".as_bytes());
        assert!(rules.refusal("e\u{301}".as_bytes()).is_some() && rules.refusal("\u{e9}".as_bytes()).is_none());
        assert_eq!(&*Rules::default().told("e\u{301}".as_bytes().into()), "e\u{301}".as_bytes());
    }
}

//! Where an entry belongs: folders below the layer's own, found without ever leaving it.

use crate::image::layer::unpack::failed;
use crate::model::{Failure, Result};
use crate::sys::linux::tree::{Folder, Kind};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

/// Symlinks followed in one path: the kernel's own bound (path_resolution(7)).
const SYMLINK_LIMIT: usize = 40;

/// Folders kept open; far more than a tar in its usual order goes back to, far fewer than a process may open.
const OPEN_FOLDERS: usize = 128;

/// A folder and whether what is made in it takes over its group (setgid).
#[derive(Clone)]
pub struct Place {
    pub folder: Rc<Folder>,
    pub setgid: bool,
}

/// The folders of one layer.
pub struct Places {
    root: Place,
    open: HashMap<Vec<u8>, Place>,
}

impl Places {
    /// # Errors
    /// `root` cannot be opened.
    pub fn new(root: &Path) -> Result<Places> {
        let folder = Folder::open(root).map_err(|e| Failure::because(format!("cannot open {}", root.display()), e))?;
        Ok(Places { root: Place { folder: Rc::new(folder), setgid: false }, open: HashMap::new() })
    }

    /// The folder at a cleaned path, made with what is missing above it. Symlinks that this layer has on the way are
    /// followed as in a root of its own: an absolute target begins at the layer, `..` ends there.
    ///
    /// # Errors
    /// Something on the way is no folder; symlinks lead in circles.
    pub fn make(&mut self, path: &[u8]) -> Result<Place> {
        self.find_or_walk(path, true)?.ok_or_else(|| Failure::new(format!("cannot make {}", show(path))))
    }

    /// The folder at a cleaned path, or `None` where this layer has none.
    ///
    /// # Errors
    /// As [`Places::make`].
    pub fn find(&mut self, path: &[u8]) -> Result<Option<Place>> {
        self.find_or_walk(path, false)
    }

    /// Forgets the open folders: something they were reached through has changed.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    fn find_or_walk(&mut self, path: &[u8], make: bool) -> Result<Option<Place>> {
        if path.is_empty() {
            return Ok(Some(self.root.clone()));
        }
        if let Some(place) = self.open.get(path) {
            return Ok(Some(place.clone()));
        }
        let place = match self.root.folder.folder(path) {
            Ok(folder) => place(folder, path)?,
            // Something is missing or a symlink: go step by step.
            Err(_) => match self.walk(path, make)? {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        if self.open.len() >= OPEN_FOLDERS {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), place.clone());
        Ok(Some(place))
    }

    fn walk(&self, path: &[u8], make: bool) -> Result<Option<Place>> {
        let mut todo: VecDeque<Vec<u8>> = components(path).collect();
        let mut here: Vec<Vec<u8>> = Vec::new();
        let mut followed = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                here.pop();
                continue;
            }
            let folder = self.open_real(&here)?;
            let facts = folder.facts(&name).map_err(|error| failed(path, error))?;
            match facts.map(|facts| facts.kind) {
                Some(Kind::Folder) => here.push(name),
                Some(Kind::Symlink) => {
                    followed += 1;
                    if followed > SYMLINK_LIMIT {
                        return Err(Failure::new(format!("symlinks lead in circles at {}", show(path))));
                    }
                    let target = folder.read_link(&name).map_err(|error| failed(path, error))?;
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    components(&target).rev().for_each(|part| todo.push_front(part));
                }
                None if !make => return Ok(None),
                None => {
                    make_plain_folder(&folder, &name).map_err(|error| failed(path, error))?;
                    here.push(name);
                }
                // The layer deletes it below and has something new in it: a folder that hides the old one.
                Some(Kind::Whiteout) if make => {
                    let made = folder.remove_file(&name).and_then(|()| make_plain_folder(&folder, &name));
                    made.and_then(|()| make_opaque(&folder, &name)).map_err(|error| failed(path, error))?;
                    here.push(name);
                }
                Some(_) if !make => return Ok(None),
                Some(_) => {
                    return Err(Failure::new(format!("{} is in a folder that is no folder", show(path))));
                }
            }
        }
        self.open_real(&here).and_then(|folder| place_shared(folder, path)).map(Some)
    }

    /// Opens a path all of whose components are known to be real folders.
    fn open_real(&self, here: &[Vec<u8>]) -> Result<Rc<Folder>> {
        if here.is_empty() {
            return Ok(Rc::clone(&self.root.folder));
        }
        let path = here.join(&b'/');
        self.root.folder.folder(&path).map(Rc::new).map_err(|error| failed(&path, error))
    }
}

fn place(folder: Folder, path: &[u8]) -> Result<Place> {
    place_shared(Rc::new(folder), path)
}

fn place_shared(folder: Rc<Folder>, path: &[u8]) -> Result<Place> {
    let facts = folder.facts(b".").map_err(|error| failed(path, error))?;
    let setgid = facts.is_some_and(|facts| facts.mode & 0o2000 != 0);
    Ok(Place { folder, setgid })
}

fn make_plain_folder(folder: &Folder, name: &[u8]) -> std::io::Result<()> {
    folder.make_folder(name, 0o755)?;
    folder.set_mode(name, 0o755)
}

/// Makes a folder hide what lower layers have in it (overlayfs with `userxattr`).
///
/// # Errors
/// The file system has no extended attributes for users.
pub fn make_opaque(folder: &Folder, name: &[u8]) -> std::io::Result<()> {
    crate::sys::linux::tree::set_attribute(&folder.open_readable(name)?, OPAQUE, b"y")
}

/// The attribute that marks an opaque folder.
pub const OPAQUE: &[u8] = b"user.overlay.opaque";

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}

/// A path as written in a tar, made relative to the layer: no empty or `.` components, and `..` taken back.
///
/// # Errors
/// It leads outside, is too long or has a zero byte.
pub fn clean(path: &[u8], limit_bytes: usize) -> Result<Vec<u8>> {
    let refuse = |why: &str| Err(Failure::new(format!("the layer's entry '{}' {why}", show(path))));
    if path.len() > limit_bytes {
        return refuse("has a name longer than paths may be");
    }
    if path.contains(&0) {
        return refuse("has a zero byte in its name");
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    return refuse("leads outside the image");
                }
            }
            name => parts.push(name),
        }
    }
    Ok(parts.join(&b'/'))
}

/// A cleaned path's folder and last component; the layer's own folder is `.` in itself.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None if path.is_empty() => (b"", b"."),
        None => (b"", path),
    }
}

/// A path for people, shortened.
pub fn show(path: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(path).chars().take(200).collect();
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (written, cleaned) in [
            ("./", ""),
            ("/", ""),
            ("/etc/passwd", "etc/passwd"),
            ("./a//b/./c/", "a/b/c"),
            ("a/../b", "b"),
            ("...", "..."),
        ] {
            assert_eq!(clean(written.as_bytes(), 100).unwrap(), cleaned.as_bytes(), "{written}");
        }
        for outside in ["..", "../a", "/../a", "a/../../b", "./../x"] {
            assert!(clean(outside.as_bytes(), 100).is_err(), "{outside}");
        }
        assert!(clean(&[b'a'; 101], 100).is_err());
        assert!(clean(b"a\0b", 100).is_err());
    }
}

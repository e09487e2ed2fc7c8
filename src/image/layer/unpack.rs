//! Makes a layer's entries in a folder, in the form overlayfs wants.

use crate::image::layer::Target;
use crate::image::layer::entries::{Entries, Entry, EntryKind};
use crate::image::layer::limits::Limits;
use crate::image::layer::place::{Place, Places, clean, make_opaque, show, split};
use crate::image::store::LayerIds;
use crate::model::{Failure, Result};
use crate::sys::linux::tree::{self, Kind, Time};
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};

/// Owner of what an image gives to an id that boxes do not have: `nobody` on Linux.
const OVERFLOW_ID: u32 = 65534;

/// What unpacking found worth telling, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Of all files' contents.
    pub size_bytes: u64,
    /// Device files outside /dev.
    pub devices_skipped: u64,
    pub owners_replaced: u64,
    pub attributes_skipped: u64,
}

/// Unpacks a tar.
///
/// # Errors
/// The tar is damaged, hostile or beyond the limits; the disk is full.
pub fn unpack(input: impl BufRead, target: Target) -> Result<Findings> {
    let Target { folder, ids, limits } = target;
    let exact_modes = tree::clear_umask_of_this_thread();
    let mut unpacker = Unpacker {
        places: Places::new(folder)?,
        ids,
        limits,
        own_ids: tree::own_ids(),
        exact_modes,
        folder_times: Vec::new(),
        findings: Findings::default(),
    };
    let mut entries = Entries::new(input, limits);
    while let Some(entry) = entries.next()? {
        unpacker.entry(&entry, &mut entries)?;
    }
    unpacker.set_folder_times();
    Ok(unpacker.findings)
}

struct Unpacker<'l> {
    places: Places,
    ids: LayerIds,
    limits: &'l Limits,
    /// Whom new files belong to.
    own_ids: (u32, u32),
    /// Modes are made as asked: this thread has no umask.
    exact_modes: bool,
    /// Set at the end: making something in a folder changes its time.
    folder_times: Vec<(Vec<u8>, Time)>,
    findings: Findings,
}

impl Unpacker<'_> {
    fn entry<R: BufRead>(&mut self, entry: &Entry, data: &mut Entries<R>) -> Result<()> {
        let path = clean(&entry.path, self.limits.path_bytes)?;
        let (parent, name) = split(&path);
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(parent, hidden, &path);
        }
        if path.is_empty() && entry.kind != EntryKind::Folder {
            return Err(Failure::new("the layer replaces its own root by something that is no folder"));
        }
        if entry.kind == EntryKind::Device {
            // Every box gets a /dev of its own over the image's.
            if !path.starts_with(b"dev/") {
                self.findings.devices_skipped += 1;
            }
            return Ok(());
        }
        let place = self.places.make(parent)?;
        match entry.kind {
            EntryKind::Folder => self.folder(&place, name, &path, entry),
            EntryKind::File => self.file(&place, name, &path, entry, data),
            EntryKind::HardLink => self.hard_link(&place, name, &path, entry),
            EntryKind::Symlink => {
                self.make(&place, name, &path, |folder| folder.make_symlink(name, &entry.link))?;
                self.finish(&place, name, &path, entry, true)
            }
            EntryKind::Fifo => {
                self.make(&place, name, &path, |folder| folder.make_fifo(name, entry.mode & 0o777))?;
                self.finish(&place, name, &path, entry, false)
            }
            EntryKind::Device => Ok(()),
        }
    }

    /// Makes something at `name`, after removing what this layer had there before.
    fn make<T>(
        &mut self,
        place: &Place,
        name: &[u8],
        path: &[u8],
        make: impl Fn(&tree::Folder) -> io::Result<T>,
    ) -> Result<T> {
        match make(&place.folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other.map_err(|error| failed(path, error)),
        }
        self.remove(place, name).and_then(|()| make(&place.folder)).map_err(|error| failed(path, error))
    }

    fn remove(&mut self, place: &Place, name: &[u8]) -> io::Result<()> {
        match place.folder.facts(name)?.map(|facts| facts.kind) {
            Some(Kind::Folder) => {
                self.places.forget();
                place.folder.remove_tree(name)
            }
            Some(kind) => {
                if kind == Kind::Symlink {
                    self.places.forget();
                }
                place.folder.remove_file(name)
            }
            None => Ok(()),
        }
    }

    fn folder(&mut self, place: &Place, name: &[u8], path: &[u8], entry: &Entry) -> Result<()> {
        let made = if path.is_empty() { Ok(()) } else { place.folder.make_folder(name, entry.mode & 0o777) };
        let outcome = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.folder_over(place, name, entry),
            other => other,
        };
        outcome.map_err(|error| failed(path, error))?;
        self.set_owner(place, name, path, entry)?;
        if place.setgid || entry.mode & 0o7000 != 0 || !self.exact_modes || path.is_empty() {
            place.folder.set_mode(name, entry.mode).map_err(|error| failed(path, error))?;
        }
        if entry.attributes.iter().any(|(key, _)| may_be_set(key)) {
            let folder = place.folder.open_readable(name).map_err(|error| failed(path, error))?;
            self.set_attributes(&folder, path, entry)?;
        }
        self.folder_times.push((path.to_vec(), entry.time));
        Ok(())
    }

    /// Makes a folder where something is: a folder stays with what it has, all else gives way.
    fn folder_over(&mut self, place: &Place, name: &[u8], entry: &Entry) -> io::Result<()> {
        match place.folder.facts(name)?.map(|facts| facts.kind) {
            Some(Kind::Folder) => {
                // Its setgid bit may change under an open handle.
                self.places.forget();
                place.folder.set_mode(name, entry.mode)
            }
            found => {
                self.remove(place, name)?;
                place.folder.make_folder(name, entry.mode & 0o777)?;
                // Deleted below and made anew: what was in it below stays deleted.
                if found == Some(Kind::Whiteout) { make_opaque(&place.folder, name) } else { Ok(()) }
            }
        }
    }

    fn file<R: BufRead>(
        &mut self,
        place: &Place,
        name: &[u8],
        path: &[u8],
        entry: &Entry,
        data: &mut Entries<R>,
    ) -> Result<()> {
        let mut file = self.make(place, name, path, |folder| folder.make_file(name, entry.mode & 0o777))?;
        match &entry.sparse {
            None => copy(data, &mut file, path)?,
            Some(map) => copy_sparse(data, &file, map, entry.size_bytes, path)?,
        }
        self.findings.size_bytes += entry.size_bytes;
        if let Some((uid, gid)) = self.owner_to_set(place, entry) {
            tree::set_owner(&file, uid, gid).map_err(|error| failed(path, error))?;
        }
        if entry.mode & 0o7000 != 0 || !self.exact_modes {
            let mode = std::fs::Permissions::from_mode(entry.mode);
            file.set_permissions(mode).map_err(|error| failed(path, error))?;
        }
        self.set_attributes(&file, path, entry)?;
        tree::set_time(&file, entry.time).map_err(|error| failed(path, error))
    }

    fn hard_link(&mut self, place: &Place, name: &[u8], path: &[u8], entry: &Entry) -> Result<()> {
        let target = clean(&entry.link, self.limits.path_bytes)?;
        let (parent, old_name) = split(&target);
        let missing = || {
            let (path, target) = (show(path), show(&target));
            Failure::new(format!(
                "the layer's entry '{path}' is a hard link to '{target}', which the layer does not have"
            ))
        };
        if target == path {
            return Err(Failure::new(format!("the layer's entry '{}' is a hard link to itself", show(path))));
        }
        let old = self.places.find(parent)?.ok_or_else(missing)?;
        match old.folder.facts(old_name).map_err(|error| failed(path, error))?.map(|facts| facts.kind) {
            None | Some(Kind::Whiteout) => return Err(missing()),
            Some(_) => {}
        }
        self.make(place, name, path, |folder| folder.make_link(name, &old.folder, old_name))
    }

    fn whiteout(&mut self, parent: &[u8], hidden: &[u8], path: &[u8]) -> Result<()> {
        if hidden == b".wh..opq" {
            let place = self.places.make(parent)?;
            return make_opaque(&place.folder, b".").map_err(|error| failed(path, error));
        }
        // Bookkeeping of aufs (`.wh..wh.plnk`, `.wh..wh.aufs`): means nothing here.
        if hidden.starts_with(b".wh.") {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Failure::new(format!("the layer's entry '{}' deletes what is no name", show(path))));
        }
        let place = self.places.make(parent)?;
        let outcome = match place.folder.make_whiteout(hidden) {
            // A whiteout speaks of lower layers only: what this layer has stays, without what is below it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match place.folder.facts(hidden) {
                Ok(Some(facts)) if facts.kind == Kind::Folder => make_opaque(&place.folder, hidden),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            },
            other => other,
        };
        outcome.map_err(|error| failed(path, error))
    }

    /// Owner, mode and time of what is neither file nor folder.
    fn finish(&mut self, place: &Place, name: &[u8], path: &[u8], entry: &Entry, symlink: bool) -> Result<()> {
        self.set_owner(place, name, path, entry)?;
        let mode = if symlink { Ok(()) } else { place.folder.set_mode(name, entry.mode) };
        mode.and_then(|()| place.folder.set_time(name, entry.time)).map_err(|error| failed(path, error))
    }

    fn set_owner(&mut self, place: &Place, name: &[u8], path: &[u8], entry: &Entry) -> Result<()> {
        match self.owner_to_set(place, entry) {
            Some((uid, gid)) => place.folder.set_owner(name, uid, gid).map_err(|error| failed(path, error)),
            None => Ok(()),
        }
    }

    /// The owner to give to an entry, unless it is what a new file has anyway.
    fn owner_to_set(&mut self, place: &Place, entry: &Entry) -> Option<(u32, u32)> {
        let LayerIds::Mapped { count } = self.ids else { return None };
        let mapped = |id: u64| u32::try_from(id).ok().filter(|id| *id < count);
        let (uid, gid) = (mapped(entry.uid), mapped(entry.gid));
        if uid.is_none() || gid.is_none() {
            self.findings.owners_replaced += 1;
        }
        let nobody = OVERFLOW_ID.min(count.saturating_sub(1));
        let owner = (uid.unwrap_or(nobody), gid.unwrap_or(nobody));
        (place.setgid || owner != self.own_ids).then_some(owner)
    }

    /// Sets the attributes an image may set: `user.*` and file capabilities.
    fn set_attributes(&mut self, file: &File, path: &[u8], entry: &Entry) -> Result<()> {
        for (key, value) in entry.attributes.iter().filter(|(key, _)| may_be_set(key)) {
            match tree::set_attribute(file, key, value) {
                Ok(()) => {}
                // A file system without them, or a user namespace that may not give capabilities.
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                    self.findings.attributes_skipped += 1;
                }
                Err(error) => return Err(failed(path, error)),
            }
        }
        Ok(())
    }

    fn set_folder_times(&mut self) {
        for (path, time) in std::mem::take(&mut self.folder_times) {
            let (parent, name) = split(&path);
            // A folder that a later entry has replaced has no time to set.
            if let Ok(Some(place)) = self.places.find(parent) {
                let _ = place.folder.set_time(name, time);
            }
        }
    }
}

/// Attributes an image may set. `trusted.*`, `user.overlay.*` and `security.*` other than capabilities would let it
/// steer overlayfs or the host's security modules.
fn may_be_set(key: &[u8]) -> bool {
    key == b"security.capability" || (key.starts_with(b"user.") && !key.starts_with(b"user.overlay."))
}

fn copy<R: BufRead>(data: &mut Entries<R>, file: &mut File, path: &[u8]) -> Result<()> {
    loop {
        let chunk = data.data()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let used = chunk.len();
        file.write_all(chunk).map_err(|error| failed(path, error))?;
        data.consume(used);
    }
}

/// Writes the pieces of a file with holes where they belong.
fn copy_sparse<R: BufRead>(
    data: &mut Entries<R>,
    file: &File,
    map: &[(u64, u64)],
    size_bytes: u64,
    path: &[u8],
) -> Result<()> {
    for (offset, length) in map {
        let mut done = 0;
        while done < *length {
            let chunk = data.data()?;
            let used = usize::try_from(length - done).map_or(chunk.len(), |left| left.min(chunk.len()));
            file.write_all_at(&chunk[..used], offset + done).map_err(|error| failed(path, error))?;
            data.consume(used);
            done += used as u64;
        }
    }
    file.set_len(size_bytes).map_err(|error| failed(path, error))
}

/// The failure of a system call on an entry.
pub fn failed(path: &[u8], error: io::Error) -> Failure {
    Failure::because(format!("cannot unpack '{}'", show(path)), error)
}

//! Puts back what sync replaced or deleted on this side.

use super::path::TreePath;
use super::replica::Replica;
use crate::sys::folder::{Folder, Sort};
use std::io::{self, ErrorKind};
use std::sync::Arc;

impl Replica {
    /// Puts back the newest batch of the trash. What stands in its place goes into the trash for it, so that doing it
    /// twice changes nothing. Returns how many files and links came back.
    ///
    /// # Errors
    /// Something cannot be read or moved.
    pub fn undo(&mut self) -> io::Result<u32> {
        let Some((batch, entries)) = self.trash.newest()? else { return Ok(0) };
        self.near = None;
        let mut count = 0;
        // The first displaced is the oldest version of a path: it comes last and wins.
        for (kept, path) in entries.iter().rev() {
            count += u32::from(self.put_back(&batch, kept, path)?);
        }
        self.near = None;
        Ok(count)
    }

    fn put_back(&mut self, batch: &Folder, kept: &[u8], path: &TreePath) -> io::Result<bool> {
        let Some((parent, name)) = path.split() else { return Ok(false) };
        if batch.look(kept)?.is_none() {
            return Ok(false);
        }
        let Ok(parent) = self.make_folders(&parent) else { return Ok(false) };
        match parent.look(name)?.map(|facts| facts.sort) {
            None => batch.rename_new(kept, &parent, name)?,
            Some(Sort::File | Sort::Link) => batch.swap(kept, &parent, name)?,
            Some(_) => return Ok(false),
        }
        Ok(true)
    }

    fn make_folders(&mut self, path: &TreePath) -> io::Result<Arc<Folder>> {
        path.parts().try_fold(self.root.clone(), |at, name| {
            match at.make_folder(name, 0o777) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                Err(_) => {}
                Ok(()) => {
                    if let Some(owner) = self.owner {
                        at.give(name, owner.uid, owner.gid)?;
                    }
                }
            }
            at.enter(name).map(Arc::new)
        })
    }
}

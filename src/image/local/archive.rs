//! The files of a tar, read in place: one pass over the headers, then each file by its offset.

use crate::image::layer::entries::{Entries, EntryKind};
use crate::image::layer::limits::Limits;
use crate::image::layer::place::clean;
use crate::image::local::bytes::{Cursor, Part, ReadAt, Supplied};
use crate::image::local::files::{Files, absent};
use crate::model::supply::{LONGEST_PIECE_BYTES, Supply};
use crate::model::{Failure, Result, Trying};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// As much is read at once when headers are looked for.
const AHEAD_BYTES: usize = 64 << 10;
/// Links followed from one name.
const LINK_LIMIT: usize = 8;

enum Member {
    Data {
        at: u64,
        size: u64,
    },
    /// To a cleaned path.
    Link(String),
}

/// Files of an uncompressed tar.
pub struct TarFiles {
    file: Arc<dyn ReadAt>,
    members: HashMap<String, Member>,
}

impl TarFiles {
    /// # Errors
    /// The file does not exist or is no plain tar.
    pub fn open(path: &Path) -> Result<TarFiles> {
        let file = File::open(path).trying(|| format!("cannot open {}", path.display()))?;
        TarFiles::over(Arc::new(file), path)
    }

    /// The archive `path` of a caller elsewhere.
    ///
    /// # Errors
    /// As [`TarFiles::open`].
    pub fn supplied(supply: Arc<dyn Supply>, path: &Path) -> Result<TarFiles> {
        TarFiles::over(Arc::new(Supplied { supply, image: path.to_owned(), file: None }), path)
    }

    fn over(file: Arc<dyn ReadAt>, path: &Path) -> Result<TarFiles> {
        let mut start = [0; 4];
        let length = file.read_at(&mut start, 0).trying(|| format!("cannot read {}", path.display()))?;
        if start.starts_with(&[0x1f, 0x8b]) || start == [0x28, 0xb5, 0x2f, 0xfd] || start.starts_with(b"BZh") {
            return Err(Failure::new(format!("{} is compressed", path.display()))
                .hint("decompress it first (gunzip, zstd -d): its parts are read in place"));
        }
        if length == 0 {
            return Err(Failure::new(format!("{} is empty", path.display())));
        }
        let members = index(&*file).trying(|| format!("cannot read {}", path.display()))?;
        Ok(TarFiles { file, members })
    }

    fn find(&self, path: &str) -> Option<(u64, u64)> {
        let mut path = path.to_owned();
        for _ in 0..LINK_LIMIT {
            match self.members.get(&path)? {
                Member::Data { at, size } => return Some((*at, *size)),
                Member::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

fn index(file: &dyn ReadAt) -> Result<HashMap<String, Member>> {
    let limits = Limits::default();
    let mut members = HashMap::new();
    let mut entries = Entries::new(BufReader::with_capacity(AHEAD_BYTES, Cursor { file, at: 0 }), &limits);
    while let Some(entry) = entries.next()? {
        let path = text(clean(&entry.path, limits.path_bytes)?)?;
        let member = match entry.kind {
            EntryKind::File if entry.sparse.is_none() => {
                Some(Member::Data { at: entries.data_offset(), size: entry.size_bytes })
            }
            // From the link's own folder, and from the root of the tar.
            EntryKind::Symlink => {
                let folder = path.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
                let target = [folder.as_bytes(), b"/", &entry.link].concat();
                Some(Member::Link(text(clean(&target, limits.path_bytes)?)?))
            }
            EntryKind::HardLink => Some(Member::Link(text(clean(&entry.link, limits.path_bytes)?)?)),
            _ => None,
        };
        members.extend(member.map(|member| (path, member)));
        let ahead = i64::try_from(entries.jumped()).trying(|| "the tar is damaged: an entry of impossible size")?;
        entries.input().seek_relative(ahead).trying(|| "cannot read the tar")?;
    }
    Ok(members)
}

fn text(path: Vec<u8>) -> Result<String> {
    String::from_utf8(path).trying(|| "a name in the tar is no text")
}

impl Files for TarFiles {
    fn open_file(&self, path: &str) -> Result<(Box<dyn Read + Send>, u64)> {
        let (at, size) = self.find(path).ok_or_else(|| absent(path))?;
        // In large pieces: each may have to come from elsewhere.
        let part = Part { file: Arc::clone(&self.file), at, left: size };
        Ok((Box::new(BufReader::with_capacity(LONGEST_PIECE_BYTES, part)), size))
    }
}

//! Named files to read, from a folder or from a tar.

use crate::image::local::bytes::{Part, Supplied};
use crate::model::supply::{LONGEST_PIECE_BYTES, Supply};
use crate::model::{Failure, Kind, Result, Trying};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files by relative path.
pub trait Files: Send + Sync {
    /// Opens a file; gives its size in bytes too.
    ///
    /// # Errors
    /// There is none of that name (kind `NotFound`), or it cannot be read.
    fn open_file(&self, path: &str) -> Result<(Box<dyn Read + Send>, u64)>;
}

/// The whole of a small file.
///
/// # Errors
/// It is missing, or larger than `limit_bytes`.
pub fn read_small(files: &dyn Files, path: &str, limit_bytes: u64) -> Result<Vec<u8>> {
    let (reader, size) = files.open_file(path)?;
    if size > limit_bytes {
        return Err(Failure::new(format!("{path} has {size} bytes, more than the {limit_bytes} allowed")));
    }
    let mut bytes = Vec::new();
    reader.take(limit_bytes).read_to_end(&mut bytes).trying(|| format!("cannot read {path}"))?;
    Ok(bytes)
}

/// That a file is not there.
pub fn absent(path: &str) -> Failure {
    Failure::new(format!("there is no {path} in it")).kind(Kind::NotFound)
}

/// The files of a folder.
pub struct DiskFiles(PathBuf);

impl DiskFiles {
    /// # Errors
    /// The folder does not exist.
    pub fn open(path: &Path) -> Result<DiskFiles> {
        if path.is_dir() { Ok(DiskFiles(path.to_owned())) } else { Err(crate::sys::fs::missing(path)) }
    }
}

impl Files for DiskFiles {
    fn open_file(&self, path: &str) -> Result<(Box<dyn Read + Send>, u64)> {
        let full = self.0.join(path);
        let opened = File::open(&full).and_then(|file| file.metadata().map(|facts| (file, facts)));
        match opened {
            Ok((file, facts)) if facts.is_file() => Ok((Box::new(file), facts.len())),
            Ok(_) => Err(Failure::new(format!("{} is no file", full.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(absent(path)),
            Err(error) => Err(Failure::because(format!("cannot read {}", full.display()), error)),
        }
    }
}

/// The files of a folder of a caller elsewhere.
pub struct SuppliedFiles {
    pub supply: Arc<dyn Supply>,
    pub folder: PathBuf,
}

impl Files for SuppliedFiles {
    fn open_file(&self, path: &str) -> Result<(Box<dyn Read + Send>, u64)> {
        let length = self.supply.length(&self.folder, Some(path))?.ok_or_else(|| absent(path))?;
        let (supply, image) = (self.supply.clone(), self.folder.clone());
        let file = Arc::new(Supplied { supply, image, file: Some(path.to_owned()) });
        let whole = Part { file, at: 0, left: length };
        Ok((Box::new(BufReader::with_capacity(LONGEST_PIECE_BYTES, whole)), length))
    }
}

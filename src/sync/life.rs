//! Whether this side's computer went down while what sync wrote may not have been on its disk.

use crate::model::Result;
use crate::sys::boot::boot_id;
use crate::sys::fs::{random_bytes, read_if_exists, write_atomically};
use std::path::{Path, PathBuf};

/// What stands for the boot when all was on disk.
const SETTLED: &str = "settled";

/// Names a stretch of time in which nothing that was written here can have been lost.
pub type LifeId = [u8; 16];

/// The life of one copy of the tree. Kept in a file: the boot in which work began (or that all of it is on disk), and
/// the life's name.
#[derive(Debug)]
pub struct Life {
    path: PathBuf,
    pub id: LifeId,
}

impl Life {
    /// Goes on with the life that is kept in the state folder `state`. If the computer went down in it with work that
    /// may not have been on disk, it is over, and another one begins.
    ///
    /// # Errors
    /// The state folder cannot be used.
    pub fn begin(state: &Path) -> Result<Life> {
        let path = state.join("life");
        let kept = read_if_exists(&path)?;
        let known = kept.as_deref().and_then(|text| text.trim().split_once(' ')).and_then(|(boot, id)| {
            let whole = boot == SETTLED || boot == boot_id();
            u128::from_str_radix(id, 16).ok().filter(|_| whole)
        });
        let id = match known {
            Some(known) => known.to_be_bytes(),
            None => random_bytes()?,
        };
        let life = Life { path, id };
        life.work()?;
        Ok(life)
    }

    /// From now on there is work that may not be on disk.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn work(&self) -> Result<()> {
        self.write(&boot_id())
    }

    /// All of it is on disk.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn settle(&self) -> Result<()> {
        self.write(SETTLED)
    }

    fn write(&self, boot: &str) -> Result<()> {
        let text = format!("{boot} {:032x}\n", u128::from_be_bytes(self.id));
        match read_if_exists(&self.path) {
            Ok(Some(kept)) if kept == text => Ok(()),
            _ => write_atomically(&self.path, text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_when_the_computer_goes_down_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("life");
        let life = Life::begin(folder.path()).unwrap();
        let again = || Life::begin(folder.path()).unwrap().id;
        assert_eq!(again(), life.id, "the process ended, nothing else");
        let shown = std::fs::read_to_string(&path).unwrap();
        let elsewhere = shown.replace(&boot_id(), "00000000-another-boot");
        life.settle().unwrap();
        let settled = std::fs::read_to_string(&path).unwrap();
        assert_eq!(again(), life.id, "it was settled before");
        std::fs::write(&path, &settled).unwrap();
        life.work().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), shown);
        std::fs::write(&path, elsewhere).unwrap();
        let other = again();
        assert_ne!(other, life.id);
        assert_eq!(again(), other);
        for cut in 0..shown.len() - 1 {
            std::fs::write(&path, &shown[..cut]).unwrap();
            let _ = again();
        }
    }
}

//! Knows what must not be lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub type Hash = [u8; 32];

pub fn hash(content: &[u8]) -> Hash {
    *blake3::hash(content).as_bytes()
}

#[derive(Default)]
pub struct Oracle {
    /// What somebody wrote and nobody threw away, and how it began.
    wanted: HashMap<Hash, String>,
    /// Folders that were thrown away: sync may have been at work in them still.
    bins: Vec<PathBuf>,
}

impl Oracle {
    pub fn wrote(&mut self, path: &Path, content: &[u8]) {
        let start = String::from_utf8_lossy(&content[..content.len().min(24)]);
        self.wanted.insert(hash(content), format!("{start} ({} bytes) at {}", content.len(), path.display()));
    }

    pub fn threw_away(&mut self, content: &Hash) {
        self.wanted.remove(content);
    }

    pub fn threw_away_all(&mut self, thrown: &Path) {
        for content in contents(thrown) {
            self.wanted.remove(&content);
        }
        self.bins.push(thrown.into());
    }

    /// What is in none of these folders.
    pub fn missing(&mut self, folders: &[PathBuf]) -> Vec<String> {
        let mut found = HashSet::new();
        for folder in folders.iter().chain(&self.bins) {
            found.extend(contents(folder));
        }
        self.wanted.iter().filter(|(content, _)| !found.contains(*content)).map(|(_, start)| start.clone()).collect()
    }

    /// From now on only what is in these folders is wanted.
    pub fn forget_all_but(&mut self, folders: &[PathBuf]) {
        let kept: HashSet<Hash> = folders.iter().flat_map(|folder| contents(folder)).collect();
        self.wanted.retain(|content, _| kept.contains(content));
        for bin in self.bins.drain(..) {
            let _ = fs::remove_dir_all(&bin).or_else(|_| fs::remove_file(&bin));
        }
    }
}

/// Hashes of all files at and below a path.
fn contents(path: &Path) -> Vec<Hash> {
    let mut all = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(facts) = fs::symlink_metadata(&path) else { continue };
        if facts.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if facts.is_file() {
            all.extend(fs::read(&path).ok().map(|content| hash(&content)));
        }
    }
    all
}

/// All below `root`: kind, mode, content.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(facts) = fs::symlink_metadata(&path) else { continue };
            let shown = if facts.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap_or_default().display())
            } else if facts.is_dir() {
                open.push(path.clone());
                "folder".to_owned()
            } else {
                let content = fs::read(&path).unwrap_or_default();
                let start = String::from_utf8_lossy(&content[..content.len().min(20)]).into_owned();
                format!("{:o} {start} {}", facts.permissions().mode() & 0o777, blake3::hash(&content).to_hex())
            };
            all.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), shown);
        }
    }
    all
}

//! Somebody who works in a tree at random, and remembers what he threw away himself.

use crate::oracle::{Oracle, hash};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// xorshift64*: the same seed, the same work.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

pub struct User {
    root: PathBuf,
    /// Where what is thrown away goes first, on the same file system, so that it is known what it was.
    bin: PathBuf,
    name: &'static str,
    count: u64,
}

impl User {
    pub fn new(root: &Path, bin: &Path, name: &'static str) -> User {
        fs::create_dir_all(bin).unwrap();
        User { root: root.into(), bin: bin.into(), name, count: 0 }
    }

    /// Does one thing. Whatever fails because sync did something meanwhile simply did not happen.
    pub fn work(&mut self, random: &mut Random, oracle: &mut Oracle) {
        let path = self.any_path(random);
        let _ = match random.below(20) {
            0..5 => self.create(&path, random, oracle),
            5..8 => self.edit(&path, random, oracle),
            8 | 9 => self.append(&path, random, oracle),
            10 | 11 => self.save_by_rename(&path, random, oracle),
            12 => {
                let to = self.any_path(random).with_extension("moved");
                let _ = self.throw_away(&to, oracle);
                fs::rename(&path, to)
            }
            13 | 14 => self.throw_away(&path, oracle),
            15 => fs::metadata(&path).and_then(|facts| {
                let mode = if facts.is_dir() { 0o755 } else { [0o644, 0o755, 0o600, 0o664][random.below(4) as usize] };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            }),
            16 => self.throw_away(&path, oracle).and_then(|()| symlink(format!("to{}", random.below(9)), &path)),
            17 => fs::create_dir_all(&path),
            18 => self.throw_away(&path, oracle).and_then(|()| fs::create_dir(&path)),
            _ => self.throw_away(&path, oracle).and_then(|()| self.create(&path, random, oracle)),
        };
    }

    fn any_path(&self, random: &mut Random) -> PathBuf {
        let mut path = self.root.clone();
        for _ in 0..=random.below(3) {
            path.push(["a", "b", "c", "d", "e"][random.below(5) as usize]);
        }
        path
    }

    fn content(&mut self, random: &mut Random) -> Vec<u8> {
        self.count += 1;
        let mut content = format!("{} {} ", self.name, self.count).into_bytes();
        // In pieces, read in slices, and sent as what is new in it.
        let length = match random.below(120) {
            0..3 => 700_000,
            3 => 2_500_000,
            4 => 9_000_000,
            _ => random.below(300) as usize,
        };
        content.resize(content.len() + length, b'.');
        content
    }

    fn create(&mut self, path: &Path, random: &mut Random, oracle: &mut Oracle) -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap())?;
        let content = self.content(random);
        let mut file = File::options().write(true).create_new(true).open(path)?;
        file.write_all(&content)?;
        oracle.wrote(path, &content);
        Ok(())
    }

    /// In place, through one descriptor: what was in it is known whatever sync does with the name.
    fn edit(&mut self, path: &Path, random: &mut Random, oracle: &mut Oracle) -> std::io::Result<()> {
        let mut file = open_file(path)?;
        let mut old = Vec::new();
        file.read_to_end(&mut old)?;
        oracle.threw_away(&hash(&old));
        let content = self.content(random);
        file.seek(SeekFrom::Start(0))?;
        file.set_len(0)?;
        file.write_all(&content)?;
        oracle.wrote(path, &content);
        Ok(())
    }

    fn append(&mut self, path: &Path, random: &mut Random, oracle: &mut Oracle) -> std::io::Result<()> {
        let mut file = open_file(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        oracle.threw_away(&hash(&content));
        let more = self.content(random);
        file.write_all(&more)?;
        content.extend_from_slice(&more);
        oracle.wrote(path, &content);
        Ok(())
    }

    fn save_by_rename(&mut self, path: &Path, random: &mut Random, oracle: &mut Oracle) -> std::io::Result<()> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Ok(());
        }
        let content = self.content(random);
        let temporary = path.with_extension("tmp");
        let _ = self.throw_away(&temporary, oracle);
        fs::write(&temporary, &content)?;
        oracle.wrote(&temporary, &content);
        self.throw_away(path, oracle)?;
        fs::hard_link(&temporary, path)?;
        fs::remove_file(&temporary)
    }

    /// Takes it away in one step, then looks at what it was.
    fn throw_away(&mut self, path: &Path, oracle: &mut Oracle) -> std::io::Result<()> {
        self.count += 1;
        let thrown = self.bin.join(self.count.to_string());
        fs::rename(path, &thrown)?;
        oracle.threw_away_all(&thrown);
        Ok(())
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    File::options().read(true).write(true).open(path)
}

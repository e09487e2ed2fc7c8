//! The guest pack: kernel, modules and an empty disk, as built by `.ci/guest`. It is found, checked, and unpacked once.
//!
//! A pack is a tar archive, plain or compressed with zstd, with
//!
//! ```text
//! pack.json      what it is: `Description`
//! vmlinux        the kernel, uncompressed (arm64: its Image)
//! modules/*.ko   uncompressed
//! disk.ext4      a small empty file system that grows
//! devenv         where the host is no Linux: the program for the guest
//! ```

use super::argv::Architecture;
use super::stamp::Stamp;
use super::tar;
use crate::model::vm::GuestPack;
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::fs::{make_folder, read_if_exists, remove_tree_if_exists, write_atomically, write_sparse};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The form of packs that this program reads.
pub const FORMAT: u32 = 1;
/// An uncompressed kernel is 50 MB, a template of a disk 64.
const LONGEST_FILE_BYTES: u64 = 256 << 20;
/// No pack has more.
const MOST_FILES: usize = 1000;
/// What zstd says first (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub const DESCRIPTION: &str = "pack.json";
const KERNEL: &str = "vmlinux";
const DISK: &str = "disk.ext4";
const MODULES: &str = "modules";

/// `pack.json`, as far as the host reads it; the guest reads in it which modules come first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Description {
    pub format: u32,
    /// As Linux names it.
    pub architecture: String,
    /// Version of the kernel.
    pub kernel: String,
    /// SHA-256 of each file but this, in hexadecimal.
    pub files: BTreeMap<String, String>,
}

/// Where a pack was found. One that was chosen need not be the one of this program's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub file: PathBuf,
    pub chosen: bool,
}

/// A pack that was unpacked.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    pub description: Description,
    /// SHA-256 of the pack's file.
    pub digest: String,
}

/// SHA-256 of the pack that belongs to this program, as the release that built both knows it; `None` when built by hand.
pub fn pinned(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::X86_64 => option_env!("DEVENV_GUEST_SHA256_X86_64"),
        Architecture::Aarch64 => option_env!("DEVENV_GUEST_SHA256_AARCH64"),
    }
}

/// Name of a pack's file beside the program.
pub fn file_name(architecture: Architecture) -> String {
    format!("guest-{}.tar.zst", architecture.name())
}

/// The artifact in a registry that is the pack of this program's release.
pub fn released(architecture: Architecture) -> Option<&'static str> {
    match architecture {
        Architecture::X86_64 => option_env!("DEVENV_GUEST_ARTIFACT_X86_64"),
        Architecture::Aarch64 => option_env!("DEVENV_GUEST_ARTIFACT_AARCH64"),
    }
}

/// Gets the artifact with this reference as a file.
pub type Fetch<'a> = &'a dyn Fn(&str, &Path) -> Result<()>;

/// Looks for a pack: the chosen one, else in `../share/devenv/` as seen from the program's folder, else the release's artifact,
/// which is fetched into `cache` once.
///
/// # Errors
/// There is none, or it cannot be fetched.
pub fn find(
    chosen: Option<&GuestPack>,
    program: &Path,
    cache: &Path,
    architecture: Architecture,
    fetch: Fetch,
) -> Result<Found> {
    let name = file_name(architecture);
    let beside = program.parent().and_then(Path::parent).map(|prefix| prefix.join("share/devenv").join(&name));
    match (chosen, beside.filter(|file| file.is_file()), released(architecture)) {
        (Some(GuestPack::File(file)), _, _) if file.is_file() => Ok(Found { file: file.clone(), chosen: true }),
        (Some(GuestPack::File(file)), _, _) => Err(Failure::new(format!("there is no guest pack {}", file.display()))
            .kind(Kind::NotFound)
            .hint("it is named by DEVENV_GUEST, or by `vm.guest` in config.toml")),
        (Some(GuestPack::Artifact(reference)), _, _) => obtain(reference, cache, fetch),
        (None, Some(file), _) => Ok(Found { file, chosen: false }),
        (None, None, Some(reference)) => obtain(reference, cache, fetch),
        (None, None, None) => Err(Failure::new("there is no guest pack, which has the kernel of the managed VM")
            .kind(Kind::NotFound)
            .hint(format!(
                "it belongs into share/devenv/{name} beside the program's bin; or name one in DEVENV_GUEST"
            ))),
    }
}

fn obtain(reference: &str, cache: &Path, fetch: Fetch) -> Result<Found> {
    let (_, digest) = reference.rsplit_once(':').unwrap_or(("", reference));
    let file = cache.join(format!("{digest}.tar.zst"));
    if !file.is_file() {
        make_folder(cache)?;
        fetch(reference, &file)?;
    }
    // Its digest was checked, and pins it better than the release could.
    Ok(Found { file, chosen: true })
}

/// Opens a pack, unpacking it below `cache` when this was not done before. The caller holds the VM's lock.
///
/// # Errors
/// It is damaged, of another version or architecture, not the one that belongs to this program, or the disk is full.
pub fn open(found: &Found, cache: &Path, architecture: Architecture) -> Result<Pack> {
    let trying = || format!("cannot use the guest pack {}", found.file.display());
    make_folder(cache)?;
    let digest = digest_of_file(&found.file, &cache.join("known.json"))?;
    if let Some(pinned) = pinned(architecture).filter(|pinned| !found.chosen && *pinned != digest) {
        return Err(Failure::because(
            trying(),
            Failure::new(format!("its SHA-256 is {digest}; this version of devenv belongs to {pinned}"))
                .hint("install the pack of the same release again, or name another in `vm.guest`"),
        ));
    }
    let folder = cache.join(&digest);
    if !folder.exists() {
        unpack(&found.file, &folder, architecture).trying(trying)?;
        remove_others(cache, &[&folder, &found.file]);
    }
    let text = std::fs::read_to_string(folder.join(DESCRIPTION)).trying(trying)?;
    let description = understand(&text, architecture).trying(trying)?;
    Ok(Pack { folder, description, digest })
}

impl Pack {
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(KERNEL)
    }

    /// The empty file system a VM's disk begins as.
    pub fn disk(&self) -> PathBuf {
        self.folder.join(DISK)
    }

    /// `pack.json`, for the guest.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn description_text(&self) -> Result<Vec<u8>> {
        read(&self.folder.join(DESCRIPTION))
    }

    /// Modules of the kernel, by file name.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn modules(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let folder = self.folder.join(MODULES);
        let entries = std::fs::read_dir(&folder).trying(|| format!("cannot read {}", folder.display()))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names.into_iter().map(|name| read(&folder.join(&name)).map(|content| (name, content))).collect()
    }

    /// The program for the guest, where the pack has one: a host that is no Linux has none of its own.
    pub fn program(&self) -> PathBuf {
        self.folder.join("devenv")
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).trying(|| format!("cannot read {}", path.display()))
}

/// What `pack.json` says, when it is for us.
fn understand(text: &str, architecture: Architecture) -> Result<Description> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let version: Version = serde_json::from_str(text).trying(|| format!("its {DESCRIPTION} cannot be understood"))?;
    if version.format != FORMAT {
        return Err(Failure::new(format!("it is of version {}; this devenv reads version {FORMAT}", version.format))
            .hint("use the pack of the same release as this program"));
    }
    let description: Description =
        serde_json::from_str(text).trying(|| format!("its {DESCRIPTION} cannot be understood"))?;
    if description.architecture != architecture.name() {
        let (theirs, ours) = (&description.architecture, architecture.name());
        return Err(Failure::new(format!("it is for {theirs} computers; this is {ours}")));
    }
    Ok(description)
}

/// Unpacks beside `folder` and gives it its name when all is there.
fn unpack(file: &Path, folder: &Path, architecture: Architecture) -> Result<()> {
    let unfinished = folder.with_extension("unfinished");
    remove_tree_if_exists(&unfinished)?;
    make_folder(&unfinished.join(MODULES))?;
    let unpacked = unpack_into(file, &unfinished, architecture)
        .and_then(|()| std::fs::rename(&unfinished, folder).trying(|| format!("cannot make {}", folder.display())));
    if unpacked.is_err() {
        let _ = remove_tree_if_exists(&unfinished);
    }
    unpacked
}

fn unpack_into(file: &Path, folder: &Path, architecture: Architecture) -> Result<()> {
    let mut archive = decompressed(file)?;
    let mut digests = BTreeMap::new();
    let mut description = None;
    for _ in 0..MOST_FILES {
        let Some(entry) = tar::next(&mut archive, LONGEST_FILE_BYTES)? else { break };
        let name = entry.name.trim_start_matches("./").to_owned();
        if !is_expected(&name) {
            return Err(Failure::new(format!("it holds {name}, which no pack has")));
        }
        if name == DESCRIPTION {
            description = Some(understand(&String::from_utf8_lossy(&entry.content), architecture)?);
        }
        let path = folder.join(&name);
        write_sparse(&path, &entry.content)?;
        digests.insert(name, hexadecimal(&Sha256::digest(&entry.content)));
    }
    let description = description.ok_or_else(|| Failure::new(format!("it has no {DESCRIPTION}")))?;
    digests.remove(DESCRIPTION);
    if let Some(missing) = [KERNEL, DISK].into_iter().find(|name| !digests.contains_key(*name)) {
        return Err(Failure::new(format!("it has no {missing}")));
    }
    let all = digests.keys().chain(description.files.keys());
    match all.into_iter().find(|name| digests.get(*name) != description.files.get(*name)) {
        Some(name) => Err(Failure::new(format!("it is damaged: {name} is not what its {DESCRIPTION} says"))),
        None => Ok(()),
    }
}

/// A pack's files are few and have fixed places: nothing in one can lead out of its folder.
fn is_expected(name: &str) -> bool {
    let is_module = |name: &str| name.ends_with(".ko") && !name.contains('/');
    [DESCRIPTION, KERNEL, DISK, "devenv"].contains(&name) || name.strip_prefix("modules/").is_some_and(is_module)
}

fn decompressed(file: &Path) -> Result<Box<dyn Read>> {
    let trying = || "it cannot be read";
    let mut magic = [0; 4];
    let mut opened = File::open(file).trying(trying)?;
    let length = opened.read(&mut magic).trying(trying)?;
    let whole = File::open(file).trying(trying)?;
    match length == magic.len() && magic == ZSTD_MAGIC {
        true => Ok(Box::new(zstd::Decoder::new(whole).trying(trying)?)),
        false => Ok(Box::new(BufReader::new(whole))),
    }
}

/// A file's digest, and the file it is of: reading 15 MB at each start would be felt.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: String,
}

fn digest_of_file(file: &Path, notes: &Path) -> Result<String> {
    let trying = || format!("cannot read the guest pack {}", file.display());
    let stamp = Stamp::of(file)?;
    let known: Option<Known> = read_if_exists(notes).ok().flatten().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(known) = known.filter(|known| known.stamp == stamp) {
        return Ok(known.digest);
    }
    let mut hash = Sha256::new();
    let mut reader = BufReader::new(File::open(file).trying(trying)?);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer).trying(trying)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    let known = Known { stamp, digest: hexadecimal(&hash.finalize()) };
    let text = serde_json::to_vec(&known).trying(|| format!("cannot write {}", notes.display()))?;
    write_atomically(notes, &text)?;
    Ok(known.digest)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Packs of earlier versions. What cannot be removed now will be the next time.
fn remove_others(cache: &Path, keep: &[&Path]) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        if keep.contains(&path.as_path()) {
            continue;
        }
        let is_pack = path.extension().is_some_and(|extension| extension == "zst");
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => drop(remove_tree_if_exists(&path)),
            false if is_pack => drop(std::fs::remove_file(&path)),
            false => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86: Architecture = Architecture::X86_64;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, content) in files {
            let mut header = [0u8; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
            header[148..156].copy_from_slice(b"        ");
            header[156] = b'0';
            let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            archive.extend_from_slice(&header);
            archive.extend_from_slice(content);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
        archive.resize(archive.len() + 1024, 0);
        archive
    }

    fn described(json: &str) -> Vec<u8> {
        tar(&[(DESCRIPTION, json.as_bytes()), ("vmlinux", b"kernel"), ("modules/a.ko", b"a"), ("disk.ext4", b"disk")])
    }

    fn open_bytes(bytes: &[u8]) -> Result<Pack> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("guest.tar");
        std::fs::write(&file, bytes).unwrap();
        let opened = open(&Found { file, chosen: true }, &folder.path().join("cache"), X86)?;
        assert_eq!(opened.modules().unwrap(), [("a.ko".to_owned(), b"a".to_vec())]);
        Ok(opened)
    }

    fn good() -> String {
        let digest = |content: &[u8]| hexadecimal(&Sha256::digest(content));
        serde_json::json!({"format": 1, "architecture": "x86_64", "kernel": "6.1.0", "files": {
            "vmlinux": digest(b"kernel"), "modules/a.ko": digest(b"a"), "disk.ext4": digest(b"disk")
        }})
        .to_string()
    }

    #[test]
    fn a_good_pack_is_opened_plain_and_compressed() {
        let plain = described(&good());
        assert_eq!(open_bytes(&plain).unwrap().description.kernel, "6.1.0");
        let compressed = zstd::encode_all(plain.as_slice(), 1).unwrap();
        assert_eq!(open_bytes(&compressed).unwrap().description.architecture, "x86_64");
    }

    #[test]
    fn what_is_wrong_with_a_pack_is_told() {
        let told = |bytes: &[u8]| open_bytes(bytes).map(|_| ()).unwrap_err().chain()[1].clone();
        let other = good().replace(&hexadecimal(&Sha256::digest(b"kernel")), "00");
        assert_eq!(told(&described(&other)), "it is damaged: vmlinux is not what its pack.json says");
        assert_eq!(told(&described(r#"{"format":2}"#)), "it is of version 2; this devenv reads version 1");
        assert_eq!(
            told(&described(&good().replace("x86_64", "aarch64"))),
            "it is for aarch64 computers; this is x86_64"
        );
        assert_eq!(told(&described("no json")), "its pack.json cannot be understood");
        assert_eq!(told(&tar(&[(DESCRIPTION, good().as_bytes())])), "it has no vmlinux");
        assert_eq!(told(&tar(&[("../../etc/passwd", b"x")])), "it holds ../../etc/passwd, which no pack has");
        assert_eq!(told(b""), "it is cut short");
    }

    #[test]
    fn a_pack_cut_anywhere_or_with_a_flipped_byte_is_refused() {
        let whole = described(&good());
        for length in (0..whole.len() - 1024).step_by(97) {
            assert!(open_bytes(&whole[..length]).is_err(), "{length}");
        }
        let compressed = zstd::encode_all(whole.as_slice(), 1).unwrap();
        for length in (0..compressed.len() - 1).step_by(5) {
            assert!(open_bytes(&compressed[..length]).is_err(), "{length}");
        }
        // What stands behind the end of the checksum counts for nothing.
        for at in (0..512).step_by(3).filter(|at| *at != 154 && *at != 155) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(open_bytes(&flipped).is_err(), "{at}");
        }
    }

    #[test]
    fn packs_are_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, program) = (folder.path().join("cache"), folder.path().join("bin/devenv"));
        let fetch = |reference: &str, into: &Path| std::fs::write(into, reference).trying(|| "cannot fetch");
        let find = |chosen: Option<&GuestPack>| find(chosen, &program, &cache, X86, &fetch);
        assert!(find(None).is_err());
        let beside = folder.path().join("share/devenv").join(file_name(X86));
        make_folder(beside.parent().unwrap()).unwrap();
        std::fs::write(&beside, "").unwrap();
        assert_eq!(find(None).unwrap(), Found { file: beside.clone(), chosen: false });
        assert!(find(Some(&GuestPack::parse("/no/such/file"))).is_err());
        let own = GuestPack::File(beside.clone());
        assert_eq!(find(Some(&own)).unwrap(), Found { file: beside, chosen: true });
        let reference = "127.0.0.1:5000/guest@sha256:ab";
        let fetched = find(Some(&GuestPack::parse(reference))).unwrap();
        assert_eq!(std::fs::read_to_string(fetched.file).unwrap(), reference);
    }
}

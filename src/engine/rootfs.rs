//! Putting a box's file tree together, from inside its own mount namespace, before anything of the box runs.

use super::accounts::{group_with, passwd_with};
use super::launch::{HostAccount, Launch, Root};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::mount::{self, Attributes, Detached, attach, file_system, restrict, view};
use crate::sys::linux::rootdir::{PlaceKind, RootDir, is_character_device};
use oci_spec::runtime::{Mount, Spec};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Views of what the box gets of the host, opened as the host's user before the process becomes the box's root:
/// root in the box may not enter folders of groups that the box does not know.
pub struct Sources {
    binds: Vec<Option<Detached>>,
    devices: Vec<(&'static str, Detached)>,
    wanted_devices: Vec<(PathBuf, Detached)>,
}

/// Device files every box has (OCI runtime-spec, "Default Devices"), with their numbers.
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Opens everything of the host that `spec` mentions.
///
/// # Errors
/// A source is missing or may not be used; /dev/null is not what it should be.
pub fn open_sources(spec: &Spec) -> Result<Sources> {
    let mut binds = Vec::new();
    for wanted in spec.mounts().iter().flatten() {
        binds.push(open_bind(wanted)?);
    }
    let mut devices = Vec::new();
    for (name, major, minor) in DEVICES {
        let path = PathBuf::from(format!("/dev/{name}"));
        let device = view(&path, false)?;
        if !is_character_device(&device, major, minor) {
            return Err(Failure::new(format!("{} of this computer is not the device it should be", path.display())));
        }
        devices.push((name, device));
    }
    let mut wanted_devices = Vec::new();
    for device in spec.linux().iter().flat_map(|linux| linux.devices().iter().flatten()) {
        wanted_devices.push((device.path().clone(), view(device.path(), false)?));
    }
    Ok(Sources { binds, devices, wanted_devices })
}

fn open_bind(wanted: &Mount) -> Result<Option<Detached>> {
    let options = Options::of(wanted);
    if !options.bind {
        return Ok(None);
    }
    let source = wanted.source().as_ref().ok_or_else(|| Failure::new("a bind mount in the OCI spec has no source"))?;
    let opened = view(source, options.recursive)?;
    if options.attributes != Attributes::default() {
        restrict(&opened, options.attributes, options.recursive)
            .trying(|| format!("cannot restrict the mount of {}", source.display()))?;
    }
    Ok(Some(opened))
}

/// Attaches the box's root at `root` and opens it: still as the host's user, who may look up paths that the box's
/// root may not.
///
/// # Errors
/// A layer is missing, or the overlay is refused.
pub fn open_root(launch: &Launch, root: &Path) -> Result<RootDir> {
    attach_root(launch, root)?;
    RootDir::open(root)
}

/// Builds the rest of the tree as the box's root, and makes it this namespace's root.
///
/// # Errors
/// Names the first part that could not be made.
pub fn build(launch: &Launch, tree: RootDir, sources: Sources) -> Result<()> {
    for (wanted, source) in launch.spec.mounts().iter().flatten().zip(sources.binds) {
        attach_wanted(&tree, wanted, source)
            .trying(|| format!("cannot mount {} in the box", wanted.destination().display()))?;
    }
    make_devices(&tree, sources.devices, sources.wanted_devices)?;
    for file in &launch.files {
        tree.replace(&file.path, &file.content, file.mode)?;
    }
    if let Some(account) = &launch.account {
        know_account(&tree, account)?;
    }
    if let Some(process) = launch.spec.process() {
        tree.make_folder(process.cwd(), None, 0o755)?;
    }
    if let Some(linux) = launch.spec.linux() {
        mask(&tree, linux.masked_paths().as_deref().unwrap_or_default())?;
        protect(&tree, linux.readonly_paths().as_deref().unwrap_or_default())?;
    }
    mount::pivot_into(&tree)?;
    if launch.spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false) {
        mount::make_root_readonly()?;
    }
    Ok(())
}

fn attach_root(launch: &Launch, root: &Path) -> Result<()> {
    match &launch.root {
        Root::Layers { lowers, upper, work } => {
            let folder = |path: &PathBuf| File::open(path).trying(|| format!("cannot open {}", path.display()));
            let lowers = lowers.iter().map(folder).collect::<Result<Vec<File>>>()?;
            mount::overlay(&lowers, folder(upper)?, folder(work)?, root)
        }
        Root::Host { layers, upper, work, hidden } => super::hostroot::attach_host(layers, upper, work, hidden, root),
        Root::Folder => {
            let tree = view(root, true)?;
            attach(&tree, RootDir::open(root)?)
        }
    }
}

/// Options of a mount in the OCI spec, told apart (mount(8) has their names).
#[derive(Debug, Default, PartialEq)]
struct Options {
    bind: bool,
    recursive: bool,
    attributes: Attributes,
    /// For the file system itself.
    data: Vec<String>,
}

impl Options {
    fn of(mount: &Mount) -> Options {
        let mut options = Options { bind: mount.typ().as_deref() == Some("bind"), ..Options::default() };
        for option in mount.options().iter().flatten() {
            match option.as_str() {
                "bind" => options.bind = true,
                "rbind" => (options.bind, options.recursive) = (true, true),
                "ro" => options.attributes.readonly = true,
                "rw" => options.attributes.readonly = false,
                "nosuid" => options.attributes.no_suid = true,
                "nodev" => options.attributes.no_dev = true,
                "noexec" => options.attributes.no_exec = true,
                // Propagation is the namespace's, times and the like are the kernel's defaults.
                "suid" | "dev" | "exec" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared"
                | "relatime" | "norelatime" | "strictatime" | "atime" | "noatime" | "diratime" | "nodiratime"
                | "async" | "sync" | "defaults" | "tmpcopyup" => {}
                data => options.data.push(data.into()),
            }
        }
        options
    }
}

fn attach_wanted(tree: &RootDir, wanted: &Mount, source: Option<Detached>) -> Result<()> {
    let options = Options::of(wanted);
    if let Some(source) = source {
        let kind = if mount::is_folder(&source) { PlaceKind::Folder } else { PlaceKind::File };
        return attach(&source, tree.place(wanted.destination(), kind)?);
    }
    let kind = wanted.typ().as_deref().unwrap_or_default();
    let data: Vec<&str> = options.data.iter().map(String::as_str).collect();
    let place = tree.place(wanted.destination(), PlaceKind::Folder)?;
    let made = match kind {
        "cgroup" => file_system("cgroup2", &[], options.attributes),
        "sysfs" => file_system("sysfs", &[], options.attributes)
            // Without a network namespace of its own the kernel gives no new sysfs: the host's then, read-only.
            .or_else(|failure| view(Path::new("/sys"), true).map_err(|_| failure)),
        _ => file_system(kind, &data, options.attributes),
    };
    match made {
        Ok(mounted) => attach(&mounted, place),
        // Hosts with control groups of version 1 only, and kernels without message queues, give boxes none.
        Err(_) if matches!(kind, "cgroup" | "mqueue") => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn make_devices(tree: &RootDir, devices: Vec<(&str, Detached)>, wanted: Vec<(PathBuf, Detached)>) -> Result<()> {
    if tree.find(Path::new("/dev"))?.is_none() {
        return Ok(());
    }
    for (name, device) in devices {
        attach(&device, tree.place(Path::new(&format!("/dev/{name}")), PlaceKind::File)?)?;
    }
    for (path, device) in wanted {
        attach(&device, tree.place(&path, PlaceKind::File)?)
            .trying(|| format!("cannot give the box the device {}", path.display()))?;
    }
    for (path, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
        ("/dev/core", "/proc/kcore"),
    ] {
        tree.link(Path::new(path), target)?;
    }
    // Nobody sits at the console: what is written there goes nowhere.
    if let Ok(null) = view(Path::new("/dev/null"), false) {
        attach(&null, tree.place(Path::new("/dev/console"), PlaceKind::File)?)?;
    }
    Ok(())
}

/// Makes the host's user known: lines in passwd and group, and a home of its own.
fn know_account(tree: &RootDir, account: &HostAccount) -> Result<()> {
    let (passwd, group) = (Path::new("/etc/passwd"), Path::new("/etc/group"));
    if let Some(text) = passwd_with(&tree.read(passwd), account) {
        tree.replace(passwd, text.as_bytes(), 0o644)?;
    }
    if let Some(text) = group_with(&tree.read(group), account) {
        tree.replace(group, text.as_bytes(), 0o644)?;
    }
    tree.make_folder(Path::new(&account.home), Some((account.uid, account.gid)), 0o755)
}

fn mask(tree: &RootDir, paths: &[String]) -> Result<()> {
    for path in paths {
        let Some((place, kind)) = tree.find(Path::new(path))? else { continue };
        let cover = match kind {
            PlaceKind::Folder => {
                let attributes = Attributes { readonly: true, no_suid: true, no_dev: true, no_exec: true };
                file_system("tmpfs", &["size=0", "mode=000"], attributes)?
            }
            PlaceKind::File => view(Path::new("/dev/null"), false)?,
        };
        attach(&cover, place).trying(|| format!("cannot hide {path} from the box"))?;
    }
    Ok(())
}

fn protect(tree: &RootDir, paths: &[String]) -> Result<()> {
    for path in paths {
        let Some((place, _)) = tree.find(Path::new(path))? else { continue };
        let cover = view_of(&place)?;
        let attributes = Attributes { readonly: true, no_suid: true, no_dev: true, no_exec: true };
        restrict(&cover, attributes, true)
            .and_then(|()| attach(&cover, place))
            .trying(|| format!("cannot protect {path} from the box"))?;
    }
    Ok(())
}

fn view_of(place: &OwnedFd) -> Result<Detached> {
    view(&crate::sys::linux::exe::path_of(place), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_are_told_apart() {
        let mount: Mount = serde_json::from_value(serde_json::json!({
            "destination": "/x", "type": "tmpfs", "options": ["nosuid", "ro", "noatime", "size=1m", "mode=755"]
        }))
        .unwrap();
        let options = Options::of(&mount);
        assert_eq!(options.data, ["size=1m", "mode=755"]);
        assert_eq!(options.attributes, Attributes { readonly: true, no_suid: true, ..Attributes::default() });
        assert!(!options.bind);
    }
}

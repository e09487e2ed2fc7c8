//! Putting a box's file tree together, from inside its own mount namespace, before anything of the box runs.

use super::accounts::{group_with, passwd_with};
use super::devices::{self, Devices};
use super::launch::{FirstProcess, HostAccount, Launch, Root};
use super::{cgroup_mount, mounts};
use crate::model::{Result, Trying};
use crate::sys::linux::mount::{self, Attributes, Detached, attach, file_system, restrict, view};
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use oci_spec::runtime::Spec;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Views of what the box gets of the host, opened as the host's user before the process becomes the box's root:
/// root in the box may not enter folders of groups that the box does not know.
pub struct Sources {
    binds: Vec<Option<Detached>>,
    devices: Devices,
}

/// Opens everything of the host that `spec` mentions.
///
/// # Errors
/// A source is missing or may not be used; /dev/null is not what it should be.
pub fn open_sources(spec: &Spec) -> Result<Sources> {
    let binds = spec.mounts().iter().flatten().map(mounts::open).collect::<Result<_>>()?;
    Ok(Sources { binds, devices: devices::open(spec)? })
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

/// Builds the rest of the tree as the box's root, and makes it this namespace's root. `before_hiding` runs when all is
/// in its place and nothing is hidden yet.
///
/// # Errors
/// Names the first part that could not be made.
pub fn build(
    launch: &Launch,
    tree: RootDir,
    sources: Sources,
    before_hiding: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let is_program = matches!(launch.first, FirstProcess::Program { .. });
    for (wanted, source) in launch.spec.mounts().iter().flatten().zip(sources.binds) {
        let trying = || format!("cannot mount {} in the box", wanted.destination().display());
        if is_program && wanted.typ().as_deref() == Some("cgroup") {
            cgroup_mount::attach_groups(&tree, wanted, &launch.cgroups).trying(trying)?;
        } else {
            mounts::attach_wanted(&tree, wanted, source).trying(trying)?;
        }
    }
    devices::place(&tree, sources.devices)?;
    if !is_program {
        devices::place_empty_console(&tree)?;
    }
    for file in &launch.files {
        tree.replace(&file.path, &file.content, file.mode)?;
    }
    if !is_program {
        super::trust::add(&tree, &launch.authorities)?;
    }
    if let Some(account) = &launch.account {
        know_account(&tree, account)?;
    }
    if let Some(process) = launch.spec.process() {
        tree.make_folder(process.cwd(), None, 0o755)?;
    }
    before_hiding()?;
    if let Some(linux) = launch.spec.linux() {
        // A box of ours keeps everybody out of them; others expect to find them empty, as runc has them.
        let mode = if is_program { "mode=755" } else { "mode=000" };
        mask(&tree, linux.masked_paths().as_deref().unwrap_or_default(), mode)?;
        protect(&tree, linux.readonly_paths().as_deref().unwrap_or_default())?;
    }
    mount::pivot_into(&tree)
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

/// Nothing can be done with it but reading.
const SEALED: Attributes = Attributes {
    readonly: true,
    no_suid: true,
    no_dev: true,
    no_exec: true,
    access_time: mount::AccessTime::Kept,
    no_folder_access_time: false,
    no_symlinks: false,
};

fn mask(tree: &RootDir, paths: &[String], mode: &str) -> Result<()> {
    for path in paths {
        let Some((place, kind)) = tree.find(Path::new(path))? else { continue };
        let cover = match kind {
            PlaceKind::Folder => file_system("tmpfs", &["size=0", mode], SEALED)?,
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
        restrict(&cover, SEALED, true)
            .and_then(|()| attach(&cover, place))
            .trying(|| format!("cannot protect {path} from the box"))?;
    }
    Ok(())
}

fn view_of(place: &OwnedFd) -> Result<Detached> {
    view(&crate::sys::linux::exe::path_of(place), true)
}

//! `/sys/fs/cgroup` of a box that wants the control groups as the host has them.

use super::mounts;
use crate::model::{Result, Trying};
use crate::sys::linux::facts;
use crate::sys::linux::mount::{AccessTime, Attributes, attach, file_system, make_readonly, restrict, view};
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use oci_spec::runtime::Mount;
use std::path::{Path, PathBuf};

const MOUNTED_AT: &str = "/sys/fs/cgroup";

/// A hierarchy of version 1: its controllers as one word, and the caller's group in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    pub controllers: String,
    pub own: PathBuf,
}

impl Hierarchy {
    /// The name of its folder below /sys/fs/cgroup.
    pub fn name(&self) -> &str {
        self.controllers.strip_prefix("name=").unwrap_or(&self.controllers)
    }

    /// Where it is mounted, if it is.
    pub fn mounted_at(&self) -> Option<PathBuf> {
        let folder = Path::new(MOUNTED_AT).join(self.name());
        (facts::file_system(&folder) != Some("tmpfs") && folder.join("cgroup.procs").exists()).then_some(folder)
    }

    /// Options of a mount of it (cgroups(7)).
    fn options(&self) -> Vec<&str> {
        match self.controllers.starts_with("name=") {
            true => vec!["source=cgroup", "none", &self.controllers],
            false => std::iter::once("source=cgroup").chain(self.controllers.split(',')).collect(),
        }
    }
}

/// The hierarchies of version 1 in the text of /proc/PID/cgroup.
pub fn hierarchies(text: &str) -> Vec<Hierarchy> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, own) = (fields.next()?, fields.next()?, fields.next()?);
            (!controllers.is_empty()).then(|| Hierarchy { controllers: controllers.into(), own: own.into() })
        })
        .collect()
}

/// Whether this computer has the one tree of version 2.
pub fn is_unified() -> bool {
    facts::file_system(Path::new(MOUNTED_AT)) == Some("cgroup2")
}

/// Mounts the box's view of the control groups: version 2 as a whole, version 1 as a folder of hierarchies.
/// `joined` are the groups the box is in.
///
/// # Errors
/// A mount is refused.
pub fn attach_groups(tree: &RootDir, wanted: &Mount, joined: &[PathBuf]) -> Result<()> {
    let readonly = wanted.options().iter().flatten().any(|option| option == "ro");
    let attributes = Attributes {
        readonly,
        no_suid: true,
        no_dev: true,
        no_exec: true,
        access_time: AccessTime::Kept,
        no_folder_access_time: false,
        no_symlinks: false,
    };
    if is_unified() {
        let place = tree.place(wanted.destination(), PlaceKind::Folder)?;
        let made = file_system("cgroup2", &["source=cgroup"], attributes).or_else(|failure| match joined.first() {
            Some(group) => view_with(group, attributes),
            None => Err(failure),
        });
        return attach(&made?, place);
    }
    let hierarchies = hierarchies(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    if hierarchies.is_empty() {
        return mounts::attach_wanted(tree, wanted, None);
    }
    let cover = file_system("tmpfs", &["mode=755", "source=cgroup"], Attributes { readonly: false, ..attributes })?;
    attach(&cover, tree.place(wanted.destination(), PlaceKind::Folder)?)?;
    for hierarchy in hierarchies {
        let Some(folder) = hierarchy.mounted_at() else { continue };
        let place = tree.place(&wanted.destination().join(hierarchy.name()), PlaceKind::Folder)?;
        // In a control group namespace its own group is the root of what is mounted.
        let shown = folder.join(hierarchy.own.strip_prefix("/").unwrap_or(&hierarchy.own));
        let mounted = match hierarchy.own == Path::new("/") {
            // Without a namespace of its own this may be refused.
            true => file_system("cgroup", &hierarchy.options(), attributes).or_else(|_| view_with(&shown, attributes)),
            false => view_with(&shown, attributes),
        };
        attach(&mounted.trying(|| format!("cannot show the box its group of {}", hierarchy.controllers))?, place)?;
        for controller in hierarchy.controllers.split(',').filter(|name| *name != hierarchy.controllers) {
            tree.link(&wanted.destination().join(controller), hierarchy.name())?;
        }
    }
    if readonly { make_readonly(&cover) } else { Ok(()) }
}

fn view_with(path: &Path, attributes: Attributes) -> Result<crate::sys::linux::mount::Detached> {
    let shown = view(path, false)?;
    restrict(&shown, attributes, false)?;
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read() {
        let text = "12:pids:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/unified\n";
        let found = hierarchies(text);
        assert_eq!(found.iter().map(Hierarchy::name).collect::<Vec<_>>(), ["pids", "cpu,cpuacct", "systemd"]);
        assert_eq!(found[1].own, Path::new("/a/b"));
        assert_eq!(found[2].options(), ["source=cgroup", "none", "name=systemd"]);
    }
}

//! The mounts a spec names, opened on the host's side and attached in the box's tree.

use crate::model::{Failure, Result, Trying};
use crate::sys::linux::mount::{
    self, AccessTime, Attributes, Detached, Propagation, attach, file_system, restrict, view,
};
use crate::sys::linux::rootdir::{PlaceKind, RootDir};
use oci_spec::runtime::{Mount, Spec};
use std::path::Path;

/// Options of a mount in the OCI spec, told apart (mount(8) has their names).
#[derive(Debug, Default, PartialEq)]
struct Options {
    bind: bool,
    recursive: bool,
    attributes: Attributes,
    /// Hold for the mounts below as well (`rro` and the like).
    recursive_attributes: Attributes,
    propagation: Option<(Propagation, bool)>,
    /// What is at the place is copied into the new file system.
    copies_up: bool,
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
                "tmpcopyup" => options.copies_up = true,
                // The kernel's defaults, and what no file system is told any more.
                "async" | "defaults" | "loud" | "silent" | "iversion" | "noiversion" | "acl" | "noacl" => {}
                other if options.set(other) => {}
                data => options.data.push(data.into()),
            }
        }
        options
    }

    fn set(&mut self, option: &str) -> bool {
        if let Some(propagation) = propagation(option) {
            self.propagation = Some(propagation);
            return true;
        }
        if set_attribute(&mut self.attributes, option) {
            return true;
        }
        // `relatime` has been found above.
        option.strip_prefix('r').is_some_and(|plain| set_attribute(&mut self.recursive_attributes, plain))
    }
}

fn set_attribute(attributes: &mut Attributes, option: &str) -> bool {
    match option {
        "ro" => attributes.readonly = true,
        "rw" => attributes.readonly = false,
        "nosuid" => attributes.no_suid = true,
        "suid" => attributes.no_suid = false,
        "nodev" => attributes.no_dev = true,
        "dev" => attributes.no_dev = false,
        "noexec" => attributes.no_exec = true,
        "exec" => attributes.no_exec = false,
        "noatime" => attributes.access_time = AccessTime::Never,
        "strictatime" => attributes.access_time = AccessTime::Always,
        "relatime" => attributes.access_time = AccessTime::Relative,
        "atime" | "norelatime" | "nostrictatime" => attributes.access_time = AccessTime::Kept,
        "nodiratime" => attributes.no_folder_access_time = true,
        "diratime" => attributes.no_folder_access_time = false,
        "nosymfollow" => attributes.no_symlinks = true,
        "symfollow" => attributes.no_symlinks = false,
        _ => return false,
    }
    true
}

/// The propagation that `name` stands for (mount(8)), and whether it holds for all mounts below too.
pub fn propagation(name: &str) -> Option<(Propagation, bool)> {
    Some(match name {
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        _ => return None,
    })
}

/// Whether a mount of the box is to stay in touch with the host's, in both directions: its source then has to be opened
/// before the namespace is cut off.
pub fn are_shared(spec: &Spec) -> bool {
    let shared = |wanted: &Mount| matches!(Options::of(wanted).propagation, Some((Propagation::Shared, _)));
    spec.mounts().iter().flatten().any(shared)
}

/// Opens the host's side of a mount; `None` where it has none.
///
/// # Errors
/// The source is missing or may not be used.
pub fn open(wanted: &Mount) -> Result<Option<Detached>> {
    let options = Options::of(wanted);
    if !options.bind {
        return Ok(None);
    }
    let source = wanted.source().as_ref().ok_or_else(|| Failure::new("a bind mount in the OCI spec has no source"))?;
    let opened = view(source, options.recursive)?;
    for (attributes, recursive) in [(options.attributes, false), (options.recursive_attributes, options.recursive)] {
        if attributes != Attributes::default() {
            restrict(&opened, attributes, recursive)
                .trying(|| format!("cannot restrict the mount of {}", source.display()))?;
        }
    }
    if let Some((kind, recursive)) = options.propagation {
        mount::propagate(&opened, kind, recursive)?;
    }
    Ok(Some(opened))
}

/// Attaches a mount in the tree: `source` is what [`open`] gave.
///
/// # Errors
/// The place cannot be made, or the kernel refuses the file system.
pub fn attach_wanted(tree: &RootDir, wanted: &Mount, source: Option<Detached>) -> Result<()> {
    if let Some(source) = source {
        let kind = if mount::is_folder(&source) { PlaceKind::Folder } else { PlaceKind::File };
        return attach(&source, tree.place(wanted.destination(), kind)?);
    }
    let options = Options::of(wanted);
    let kind = wanted.typ().as_deref().unwrap_or_default();
    // Means nothing to these file systems, but stands in the box's list of mounts.
    let source = wanted.source().as_ref().map_or_else(|| kind.to_owned(), |source| source.display().to_string());
    let source = format!("source={source}");
    let data: Vec<&str> = options.data.iter().chain([&source]).map(String::as_str).collect();
    let place = tree.place(wanted.destination(), PlaceKind::Folder)?;
    let made = match kind {
        "cgroup" => file_system("cgroup2", &[&source], options.attributes),
        "sysfs" => file_system("sysfs", &[&source], options.attributes)
            // Without a network namespace of its own the kernel gives no new sysfs: the host's then.
            .or_else(|failure| view_again(Path::new("/sys"), options.attributes).map_err(|_| failure)),
        "tmpfs" => file_system("tmpfs", &data, Attributes { readonly: false, ..options.attributes }),
        _ => file_system(kind, &data, options.attributes),
    };
    match made {
        Ok(mounted) => {
            if options.copies_up {
                copy_up(&place, &mounted)?;
            }
            if let Some((kind, recursive)) = options.propagation {
                mount::propagate(&mounted, kind, recursive)?;
            }
            attach(&mounted, place)?;
            // Read-only at last, so that what is mounted inside finds its place.
            if kind == "tmpfs" && options.attributes.readonly {
                mount::make_readonly(&mounted)?;
            }
            Ok(())
        }
        // Hosts with control groups of version 1 only, and kernels without message queues, give boxes none.
        Err(_) if matches!(kind, "cgroup" | "mqueue") => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn view_again(path: &Path, attributes: Attributes) -> Result<Detached> {
    let shown = view(path, true)?;
    restrict(&shown, attributes, true)?;
    Ok(shown)
}

fn copy_up(from: &std::os::fd::OwnedFd, to: &Detached) -> Result<()> {
    use crate::sys::linux::exe::path_of;
    crate::sys::fs::copy_tree(&path_of(from), &path_of(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_are_told_apart() {
        let mount: Mount = serde_json::from_value(serde_json::json!({
            "destination": "/x", "type": "tmpfs",
            "options": ["nosuid", "ro", "noatime", "size=1m", "mode=755", "rnodev", "rslave", "relatime", "dev"]
        }))
        .unwrap();
        let options = Options::of(&mount);
        assert_eq!(options.data, ["size=1m", "mode=755"]);
        let wanted =
            Attributes { readonly: true, no_suid: true, access_time: AccessTime::Relative, ..Attributes::default() };
        assert_eq!(options.attributes, wanted);
        assert_eq!(options.recursive_attributes, Attributes { no_dev: true, ..Attributes::default() });
        assert_eq!(options.propagation, Some((Propagation::Slave, true)));
        assert!(!options.bind);
    }
}

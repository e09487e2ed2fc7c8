//! The OCI spec of a box (pure): what every box has, and what this one wants.

use super::birth::NETWORK_PATH;
use super::identity::bounding;
use super::security::{MASKED, READONLY};
use crate::model::{Result, SecurityWanted, Trying};
use oci_spec::runtime::{
    LinuxBuilder, LinuxDeviceBuilder, LinuxDeviceType, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder,
    PosixRlimitBuilder, PosixRlimitType, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
};
use std::path::{Path, PathBuf};

/// What a box wants, every default filled in.
#[derive(Debug, Clone, Default)]
pub struct BoxSpec {
    /// Folder that becomes the root's mount point.
    pub root: PathBuf,
    pub hostname: String,
    /// Empty: nothing is run.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub folder: PathBuf,
    pub binds: Vec<Bind>,
    pub tmpfs: Vec<(PathBuf, Option<u64>)>,
    pub security: SecurityWanted,
    /// Only one id is mapped: groups of the image are not there.
    pub single_id: bool,
}

/// Something of the host shown in the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
    pub readonly: bool,
}

/// Soft limit of open files: enough for servers, and low enough for programs that close every possible one.
const OPEN_FILES: u64 = 65_536;

/// Builds the spec.
///
/// # Errors
/// A capability or device that does not exist.
pub fn build(wanted: &BoxSpec) -> Result<Spec> {
    let describing = || "cannot describe the box";
    let limits = PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(OPEN_FILES).hard(OPEN_FILES);
    let process = ProcessBuilder::default()
        .terminal(false)
        .args(wanted.arguments.clone())
        .env(wanted.environment.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        .cwd(wanted.folder.clone())
        .capabilities(bounding(wanted.security.privileged, &wanted.security.cap_add)?)
        .rlimits(vec![limits.build().trying(describing)?])
        .no_new_privileges(!wanted.security.privileged)
        .build()
        .trying(describing)?;
    let namespaces = [
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Cgroup,
    ];
    // The user namespace is the one the box is born in, which is the project's.
    let network = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network).path(NETWORK_PATH).build();
    let namespaces = namespaces.map(|kind| LinuxNamespaceBuilder::default().typ(kind).build());
    let devices = wanted.security.devices.iter().map(|path| {
        // Numbers are the host file's; the box gets a view of that very file.
        LinuxDeviceBuilder::default().path(path).typ(LinuxDeviceType::C).major(0).minor(0).build().trying(describing)
    });
    let hide = |paths: &[&str]| {
        if wanted.security.privileged { vec![] } else { paths.iter().map(|p| p.to_string()).collect() }
    };
    let linux = LinuxBuilder::default()
        .namespaces(
            namespaces.into_iter().chain([network]).collect::<std::result::Result<Vec<_>, _>>().trying(describing)?,
        )
        .devices(devices.collect::<Result<Vec<_>>>()?)
        .masked_paths(hide(&MASKED))
        .readonly_paths(hide(&READONLY))
        .build()
        .trying(describing)?;
    let root = RootBuilder::default().path(&wanted.root).readonly(false).build().trying(describing)?;
    SpecBuilder::default()
        .version("1.2.0")
        .root(root)
        .hostname(&wanted.hostname)
        .mounts(mounts(wanted)?)
        .process(process)
        .linux(linux)
        .build()
        .trying(describing)
}

/// Mounts in the order in which they are made: the system's, memory file systems, the host's folders, outer ones
/// before those inside them.
fn mounts(wanted: &BoxSpec) -> Result<Vec<Mount>> {
    let terminals: &[&str] = match wanted.single_id {
        true => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        // Group 5 is `tty` in every distribution.
        false => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    };
    let locked: &[&str] = &["nosuid", "noexec", "nodev"];
    let sys: &[&str] = if wanted.security.privileged { locked } else { &["nosuid", "noexec", "nodev", "ro"] };
    let mut made = vec![
        mount("/proc", "proc", None, locked)?,
        mount("/dev", "tmpfs", None, &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", None, terminals)?,
        mount("/dev/shm", "tmpfs", None, &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"])?,
        mount("/dev/mqueue", "mqueue", None, locked)?,
        mount("/sys", "sysfs", None, sys)?,
        mount("/sys/fs/cgroup", "cgroup", None, sys)?,
    ];
    let mut own: Vec<(PathBuf, Mount)> = Vec::new();
    for (target, size) in &wanted.tmpfs {
        let size = size.map(|bytes| format!("size={bytes}"));
        let mut options = vec!["nosuid", "nodev", "mode=1777"];
        options.extend(size.as_deref());
        own.push((target.clone(), mount(target, "tmpfs", None, &options)?));
    }
    for bind in &wanted.binds {
        // No device files and no set-user-id programs arrive by a mount.
        let mut options = vec!["rbind", "rnosuid", "rnodev"];
        if bind.readonly {
            options.push("rro");
        }
        own.push((bind.target.clone(), mount(&bind.target, "bind", Some(&bind.source), &options)?));
    }
    own.sort_by_key(|(target, _)| target.components().count());
    made.extend(own.into_iter().map(|(_, mount)| mount));
    Ok(made)
}

fn mount(target: impl AsRef<Path>, kind: &str, source: Option<&Path>, options: &[&str]) -> Result<Mount> {
    let options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
    MountBuilder::default()
        .destination(target.as_ref())
        .typ(kind)
        .source(source.unwrap_or(Path::new(kind)))
        .options(options)
        .build()
        .trying(|| "cannot describe a mount of the box")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_mounts_come_before_those_inside_them() {
        let bind = |target: &str| Bind { source: "/s".into(), target: target.into(), readonly: false };
        let wanted = BoxSpec {
            binds: vec![bind("/src/cache"), bind("/src")],
            tmpfs: vec![("/src/cache/tmp".into(), Some(5))],
            folder: "/".into(),
            ..BoxSpec::default()
        };
        let spec = build(&wanted).unwrap();
        let targets: Vec<_> = spec.mounts().iter().flatten().skip(7).map(|m| m.destination().clone()).collect();
        assert_eq!(targets, ["/src", "/src/cache", "/src/cache/tmp"].map(PathBuf::from));
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.no_new_privileges(), Some(true));
        assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 14);
    }

    #[test]
    fn unknown_capabilities_are_refused() {
        let security = SecurityWanted { cap_add: vec!["CAP_FLY".into()], ..SecurityWanted::default() };
        assert!(build(&BoxSpec { security, folder: "/".into(), ..BoxSpec::default() }).is_err());
    }
}

//! The control groups of a container (cgroups(7)).

use super::resources::{Setting, device_rules, of_version_1, of_version_2};
use crate::engine::cgroup_mount::{Hierarchy, hierarchies, is_unified};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::{facts, signal};
use oci_spec::runtime::{LinuxResources, Spec};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Makes the groups that `spec` wants, with their limits, and gives the folders that the container has to join.
///
/// # Errors
/// A limit is asked for that cannot be kept.
pub fn make(spec: &Spec, id: &str) -> Result<Vec<PathBuf>> {
    let linux = spec.linux().as_ref();
    let wanted = linux.and_then(|linux| linux.cgroups_path().clone()).unwrap_or_default();
    if wanted.to_string_lossy().contains(':') {
        return Err(Failure::new(format!("the control group '{}' is systemd's", wanted.display()))
            .hint("only the cgroupfs way is carried out: `podman --cgroup-manager=cgroupfs`, or no SystemdCgroup"));
    }
    let path = if wanted.as_os_str().is_empty() { PathBuf::from(id) } else { wanted };
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let mut made = Vec::new();
    let outcome = match is_unified() {
        true => make_two(&path, resources, &mut made),
        false => make_one(&path, resources, &mut made),
    };
    if let Err(failure) = outcome {
        remove(&made);
        return Err(failure);
    }
    Ok(made)
}

/// `path` below `base`; a relative one below the caller's own group in it.
fn below(base: &Path, own: &Path, path: &Path) -> PathBuf {
    let parts =
        |path: &Path| path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>();
    let own = base.join(parts(own));
    match path.is_absolute() || !own.exists() {
        true => base.join(parts(path)),
        false => own.join(parts(path)),
    }
}

fn make_one(path: &Path, resources: Option<&LinuxResources>, made: &mut Vec<PathBuf>) -> Result<()> {
    let settings = resources.map(of_version_1).unwrap_or_default();
    let found = hierarchies(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    let has = |hierarchy: &Hierarchy, controller: &str| hierarchy.controllers.split(',').any(|name| name == controller);
    for setting in settings.iter().filter(|setting| !setting.optional) {
        if !found.iter().any(|one| has(one, setting.controller) && one.mounted_at().is_some()) {
            return Err(missing(setting));
        }
    }
    for hierarchy in &found {
        let Some(base) = hierarchy.mounted_at() else { continue };
        let folder = below(&base, &hierarchy.own, path);
        let own: Vec<&Setting> = settings.iter().filter(|setting| has(hierarchy, setting.controller)).collect();
        if let Err(error) = make_below(&base, &folder) {
            // An ordinary user has no groups of version 1, and may do without unless a limit was asked for.
            if own.is_empty() {
                continue;
            }
            return Err(Failure::because(format!("cannot make the control group {}", folder.display()), error));
        }
        made.push(folder.clone());
        own.iter().try_for_each(|setting| write(&folder, setting))?;
        if has(hierarchy, "devices") {
            for (allow, line) in device_rules(resources) {
                let file = folder.join(if allow { "devices.allow" } else { "devices.deny" });
                fs::write(&file, line).trying(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    Ok(())
}

fn missing(setting: &Setting) -> Failure {
    Failure::new(format!("this computer has no {} controller, so {} cannot be set", setting.controller, setting.file))
}

/// Makes `folder` and those above it; a set of CPUs starts empty in version 1 and takes no process then.
fn make_below(base: &Path, folder: &Path) -> std::io::Result<()> {
    let mut path = base.to_path_buf();
    for part in folder.strip_prefix(base).unwrap_or(folder).components() {
        let above = path.clone();
        path.push(part);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let is_empty = fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim().is_empty());
            if is_empty && !is_unified() {
                fs::write(path.join(file), fs::read_to_string(above.join(file))?)?;
            }
        }
    }
    Ok(())
}

fn write(folder: &Path, setting: &Setting) -> Result<()> {
    let file = folder.join(&setting.file);
    if setting.optional && !file.exists() {
        return Ok(());
    }
    fs::write(&file, &setting.value).trying(|| format!("cannot write '{}' to {}", setting.value, file.display()))
}

const UNIFIED: &str = "/sys/fs/cgroup";

fn make_two(path: &Path, resources: Option<&LinuxResources>, made: &mut Vec<PathBuf>) -> Result<()> {
    let settings = resources.map(of_version_2).transpose()?.unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let base = Path::new(UNIFIED);
    let folder = below(base, Path::new(&own), path);
    let mut above = base.to_path_buf();
    for part in folder.strip_prefix(base).unwrap_or(&folder).components() {
        // What is not handed down is missed by the limit that needs it.
        for controller in fs::read_to_string(above.join("cgroup.controllers")).unwrap_or_default().split_whitespace() {
            let _ = fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        above.push(part);
        match fs::create_dir(&above) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                if settings.is_empty() && facts::uid() != 0 {
                    return Ok(());
                }
                return Err(Failure::because(format!("cannot make the control group {}", above.display()), error));
            }
            _ => {}
        }
    }
    made.push(folder.clone());
    settings.iter().try_for_each(|setting| write(&folder, setting))
}

/// Whether the groups keep the container from devices its rules do not allow.
pub fn keep_devices(folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.join("devices.deny").exists())
}

/// Sends a signal to every process in the groups.
pub fn signal_all(folders: &[PathBuf], number: i32) {
    for pid in folders.first().map(|folder| processes(folder)).unwrap_or_default() {
        signal::send(pid, number);
    }
}

fn processes(folder: &Path) -> Vec<i32> {
    let own = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0);
    own.chain(folders_in(folder).iter().flat_map(|folder| processes(folder))).collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// How long the last processes of a group may take to leave it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removes the groups with those that the container made inside; ones that are still used stay.
pub fn remove(folders: &[PathBuf]) {
    let deadline = Instant::now() + PATIENCE;
    for folder in folders {
        while !remove_tree(folder) && Instant::now() < deadline {
            // Nothing tells when a group becomes free of version 1; the kernel needs a moment after the last process.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn remove_tree(folder: &Path) -> bool {
    for inner in folders_in(folder) {
        remove_tree(&inner);
    }
    match fs::remove_dir(folder) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(()) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_groups_stay_in_their_hierarchy() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path();
        fs::create_dir(base.join("own")).unwrap();
        for (path, wanted) in [("/a/b", "a/b"), ("c", "own/c"), ("/../../x", "x"), ("../y", "own/y")] {
            assert_eq!(below(base, Path::new("/own"), Path::new(path)), base.join(wanted), "{path}");
        }
        assert_eq!(below(base, Path::new("/not/seen"), Path::new("c")), base.join("c"));
    }
}

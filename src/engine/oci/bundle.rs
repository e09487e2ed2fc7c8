//! A bundle: the folder with a config.json and, mostly, the root file system.

use crate::model::{Failure, Result, Trying};
use oci_spec::runtime::{LinuxNamespaceType, LinuxPersonalityDomain, Mount, Process, Spec};
use std::path::{Path, PathBuf};

/// Reads the spec of `bundle` with every path of the host's made absolute.
///
/// # Errors
/// There is none, it is no spec, or it wants what is not carried out.
pub fn read(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = std::fs::read_to_string(&path).trying(|| format!("cannot read {}", path.display()))?;
    let mut spec: Spec = serde_json::from_str(&text).trying(|| format!("cannot understand {}", path.display()))?;
    check(&spec).trying(|| format!("cannot carry out {}", path.display()))?;
    if let Some(root) = spec.root_mut() {
        let folder = bundle.join(root.path());
        let folder = std::fs::canonicalize(&folder).trying(|| format!("cannot find {}", folder.display()))?;
        root.set_path(folder);
    }
    let mounts = spec.mounts().iter().flatten().map(|mount| with_absolute_source(mount, bundle)).collect::<Vec<_>>();
    spec.set_mounts(Some(mounts));
    Ok(spec)
}

fn with_absolute_source(mount: &Mount, bundle: &Path) -> Mount {
    let mut mount = mount.clone();
    let is_bind = mount.typ().as_deref() == Some("bind")
        || mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind");
    if let Some(source) = mount.source().clone().filter(|_| is_bind) {
        mount.set_source(Some(bundle.join(source)));
    }
    // Older specs leave the first slash out.
    if !mount.destination().is_absolute() {
        mount.set_destination(Path::new("/").join(mount.destination()));
    }
    mount
}

/// Looks for everything that would otherwise be passed over in silence.
fn check(spec: &Spec) -> Result<()> {
    if !spec.version().starts_with("1.") {
        return Err(Failure::new(format!("unsupported ociVersion '{}'", spec.version())).hint("1.x is understood"));
    }
    let root = spec.root().as_ref().ok_or_else(|| Failure::new("it has no `root`"))?;
    if root.path().as_os_str().is_empty() {
        return Err(Failure::new("`root.path` is empty"));
    }
    let process = spec.process().as_ref().ok_or_else(|| Failure::new("it has no `process`"))?;
    check_process(process)?;
    let plan = crate::engine::namespaces::plan(spec)?;
    let needs = |set: bool, kind, what: &str| match set && plan.shares(kind) {
        true => Err(Failure::new(format!("`{what}` needs a {kind} namespace of the box's own"))),
        false => Ok(()),
    };
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    needs(is_set(spec.hostname()), LinuxNamespaceType::Uts, "hostname")?;
    needs(is_set(spec.domainname()), LinuxNamespaceType::Uts, "domainname")?;
    spec.mounts().iter().flatten().try_for_each(check_mount)?;
    check_linux(spec)
}

fn check_mount(mount: &Mount) -> Result<()> {
    let has = |wanted: &[&str]| mount.options().iter().flatten().any(|option| wanted.contains(&option.as_str()));
    let at = mount.destination().display();
    if mount.uid_mappings().iter().flatten().next().is_some() || has(&["idmap", "ridmap"]) {
        return Err(Failure::new(format!("the mount at {at} wants its own id map, which is not carried out")));
    }
    if has(&["remount"]) {
        return Err(Failure::new(format!("the mount at {at} wants to change another, which is not carried out")));
    }
    Ok(())
}

/// Values of oom_score_adj (proc(5)).
const BADNESS: std::ops::RangeInclusive<i32> = -1000..=1000;

fn check_process(process: &Process) -> Result<()> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(Failure::new("`process.args` is empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(Failure::new("`process.cwd` is not an absolute path"));
    }
    if let Some(score) = process.oom_score_adj().filter(|score| !BADNESS.contains(score)) {
        return Err(Failure::new(format!("`process.oomScoreAdj` is {score}")).hint("from -1000 to 1000 (proc(5))"));
    }
    let mut limits = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        if limits.contains(&limit.typ()) {
            return Err(Failure::new(format!("`process.rlimits` names {} twice", limit.typ())));
        }
        limits.push(limit.typ());
    }
    let profile = process.apparmor_profile().as_deref().unwrap_or_default();
    let unsupported = [
        (!matches!(profile, "" | "unconfined"), "process.apparmorProfile"),
        (process.selinux_label().as_ref().is_some_and(|label| !label.is_empty()), "process.selinuxLabel"),
        (process.scheduler().is_some(), "process.scheduler"),
        (process.io_priority().is_some(), "process.ioPriority"),
        (process.exec_cpu_affinity().is_some(), "process.execCPUAffinity"),
    ];
    refuse(&unsupported)
}

fn check_linux(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else { return Err(Failure::new("it has no `linux`")) };
    let domain = linux.personality().as_ref().map(|personality| personality.domain());
    let other_domain = domain.is_some_and(|domain| domain != LinuxPersonalityDomain::PerLinux);
    refuse(&[
        (linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()), "linux.mountLabel"),
        (linux.intel_rdt().is_some(), "linux.intelRdt"),
        (linux.memory_policy().is_some(), "linux.memoryPolicy"),
        (linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty()), "linux.timeOffsets"),
        (linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices"),
        (other_domain, "linux.personality"),
        (spec.vm().is_some(), "vm"),
    ])
}

fn refuse(unsupported: &[(bool, &str)]) -> Result<()> {
    match unsupported.iter().find(|(is_set, _)| *is_set) {
        Some((_, what)) => Err(Failure::new(format!("`{what}` is not carried out"))),
        None => Ok(()),
    }
}

/// Absolute path of a bundle.
///
/// # Errors
/// It does not exist.
pub fn find(bundle: &Path) -> Result<PathBuf> {
    crate::sys::fs::real_path(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut text = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": { "user": { "uid": 0, "gid": 0 }, "args": ["sh"], "cwd": "/" },
            "linux": { "namespaces": [{ "type": "mount" }] }
        });
        change(&mut text);
        check(&serde_json::from_value(text).unwrap())
    }

    #[test]
    fn what_is_not_carried_out_is_said() {
        assert!(checked(|_| ()).is_ok());
        type Change = fn(&mut Value);
        let wrong: [(Change, &str); 10] = [
            (|spec| spec["ociVersion"] = json!("2.0"), "ociVersion"),
            (|spec| spec["process"]["cwd"] = json!("tmp"), "cwd"),
            (|spec| spec["process"]["args"] = json!([]), "args"),
            (|spec| spec["process"]["oomScoreAdj"] = json!(1001), "oomScoreAdj"),
            (|spec| spec["process"]["apparmorProfile"] = json!("x"), "apparmorProfile"),
            (|spec| spec["hostname"] = json!("x"), "hostname"),
            (|spec| spec["mounts"] = json!([{ "destination": "/x", "options": ["rbind", "idmap"] }]), "id map"),
            (|spec| spec["mounts"] = json!([{ "destination": "/x", "options": ["bind", "remount"] }]), "/x wants"),
            (|spec| spec["linux"]["mountLabel"] = json!("x"), "mountLabel"),
            (|spec| spec["linux"]["namespaces"] = json!([]), "mount namespace"),
        ];
        for (change, word) in wrong {
            let failure = checked(change).unwrap_err();
            assert!(failure.to_string().contains(word), "{failure}");
        }
    }
}

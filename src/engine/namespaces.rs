//! The namespaces a spec names: which are made, which are entered, and which stay the caller's.

use crate::model::{Failure, Result, Trying};
use crate::sys::linux::clone::{self, Namespaces, open_namespace};
use crate::sys::linux::facts;
use crate::sys::linux::userns::{self, IdMap, IdRange, MapWriter};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What has to happen for each kind; kinds that are named nowhere stay the caller's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub made: Namespaces,
    pub joined: Vec<(LinuxNamespaceType, PathBuf)>,
}

/// Reads the plan from `spec`.
///
/// # Errors
/// A kind is named twice, or is one that is not carried out.
pub fn plan(spec: &Spec) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut seen = Vec::new();
    for namespace in spec.linux().iter().flat_map(|linux| linux.namespaces().iter().flatten()) {
        let kind = namespace.typ();
        if seen.contains(&kind) {
            return Err(Failure::new(format!("the OCI spec names the namespace '{kind}' twice")));
        }
        seen.push(kind);
        let made = flag(&mut plan.made, kind).ok_or_else(|| Failure::new("time namespaces are not carried out"))?;
        match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => plan.joined.push((kind, path.clone())),
            None => *made = true,
        }
    }
    if !plan.made.mount {
        let named = if plan.shares(LinuxNamespaceType::Mount) { "none" } else { "one that exists" };
        return Err(Failure::new(format!("a box needs a new mount namespace, and the OCI spec names {named}")));
    }
    Ok(plan)
}

fn flag(namespaces: &mut Namespaces, kind: LinuxNamespaceType) -> Option<&mut bool> {
    Some(match kind {
        LinuxNamespaceType::User => &mut namespaces.user,
        LinuxNamespaceType::Mount => &mut namespaces.mount,
        LinuxNamespaceType::Pid => &mut namespaces.pid,
        LinuxNamespaceType::Ipc => &mut namespaces.ipc,
        LinuxNamespaceType::Uts => &mut namespaces.uts,
        LinuxNamespaceType::Network => &mut namespaces.net,
        LinuxNamespaceType::Cgroup => &mut namespaces.cgroup,
        LinuxNamespaceType::Time => return None,
    })
}

fn only(kind: LinuxNamespaceType) -> Namespaces {
    let mut namespaces = Namespaces::default();
    if let Some(flag) = flag(&mut namespaces, kind) {
        *flag = true;
    }
    namespaces
}

impl Plan {
    /// Whether this kind is neither made nor entered.
    pub fn shares(&self, kind: LinuxNamespaceType) -> bool {
        let mut made = self.made;
        let made = flag(&mut made, kind).is_some_and(|made| *made);
        !made && !self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Enters what is entered, and makes the user namespace, which owns all that is made after it.
    ///
    /// # Errors
    /// One of them is gone or may not be entered, or the id map is refused.
    pub fn enter(&self, spec: &Spec) -> Result<()> {
        let mut opened = Vec::new();
        for (kind, path) in &self.joined {
            opened.push((*kind, open_namespace(&path.to_string_lossy())?));
        }
        // Which user namespace has the right over each of them is not known: before ours, or with it.
        let mut rest: Vec<(LinuxNamespaceType, OwnedFd)> = Vec::new();
        let mut user = None;
        for (kind, namespace) in opened {
            if kind == LinuxNamespaceType::User {
                user = Some(namespace);
            } else if clone::enter_one(&namespace, only(kind)).is_err() {
                rest.push((kind, namespace));
            }
        }
        if let Some(user) = user {
            userns::join_open(user)?;
        } else if self.made.user {
            userns::enter_new(&id_map(spec)?)?;
        }
        rest.iter().try_for_each(|(kind, namespace)| {
            clone::enter_one(namespace, only(*kind))
                .trying(|| format!("cannot enter the namespace '{kind}' of the OCI spec"))
        })
    }
}

fn id_map(spec: &Spec) -> Result<IdMap> {
    let ranges = |mappings: &Option<Vec<LinuxIdMapping>>| -> Vec<IdRange> {
        let range = |m: &LinuxIdMapping| IdRange { inside: m.container_id(), outside: m.host_id(), count: m.size() };
        mappings.iter().flatten().map(range).collect()
    };
    let linux = spec.linux().as_ref().ok_or_else(|| Failure::new("the OCI spec has no part for Linux"))?;
    let (uids, gids) = (ranges(linux.uid_mappings()), ranges(linux.gid_mappings()));
    if uids.is_empty() || gids.is_empty() {
        return Err(Failure::new("the OCI spec wants a user namespace and maps no ids into it"));
    }
    let single = |ranges: &[IdRange], own| matches!(ranges, [one] if one.count == 1 && one.outside == own);
    let writer = match facts::uid() {
        0 => MapWriter::Privileged,
        uid if single(&uids, uid) && single(&gids, facts::gid()) => MapWriter::Own,
        _ => MapWriter::Tools,
    };
    Ok(IdMap { uids, gids, writer })
}

/// Writes kernel settings that belong to namespaces the box has for itself.
///
/// # Errors
/// A setting would reach beyond the box, or the kernel refuses it.
pub fn set_kernel_values(spec: &Spec, plan: &Plan) -> Result<()> {
    for (name, value) in spec.linux().iter().flat_map(|linux| linux.sysctl().iter().flatten()) {
        let name = name.replace('/', ".");
        if !is_own(&name, plan) {
            return Err(Failure::new(format!("the kernel setting {name} is not in a namespace of the box's own")));
        }
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        std::fs::write(&path, value).trying(|| format!("cannot set {name} to '{value}'"))?;
    }
    Ok(())
}

/// Settings of the IPC namespace (ipc_namespaces(7)).
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

fn is_own(name: &str, plan: &Plan) -> bool {
    if name.split('.').any(str::is_empty) {
        return false;
    }
    if OF_IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return !plan.shares(LinuxNamespaceType::Ipc);
    }
    if name.starts_with("net.") {
        return !plan.shares(LinuxNamespaceType::Network);
    }
    // The host name has a field of its own in the spec.
    name == "kernel.domainname" && !plan.shares(LinuxNamespaceType::Uts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(namespaces: serde_json::Value) -> Spec {
        serde_json::from_value(json!({ "ociVersion": "1.0.2", "linux": { "namespaces": namespaces } })).unwrap()
    }

    #[test]
    fn namespaces_are_made_entered_or_shared() {
        let named = json!([{ "type": "mount" }, { "type": "network", "path": "/run/x" }, { "type": "ipc" }]);
        let plan = plan(&spec(named)).unwrap();
        assert_eq!(plan.made, Namespaces { mount: true, ipc: true, ..Namespaces::default() });
        assert_eq!(plan.joined, [(LinuxNamespaceType::Network, PathBuf::from("/run/x"))]);
        assert!(plan.shares(LinuxNamespaceType::Pid) && !plan.shares(LinuxNamespaceType::Network));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for wrong in [json!([]), json!([{ "type": "mount" }, { "type": "mount" }]), json!([{ "type": "time" }])] {
            assert!(plan(&spec(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kernel_settings_stay_in_the_box() {
        let plan = plan(&spec(json!([{ "type": "mount" }, { "type": "ipc" }]))).unwrap();
        for (name, own) in [
            ("kernel.shmmax", true),
            ("fs.mqueue.msg_max", true),
            ("net.ipv4.ip_forward", false),
            ("kernel.panic", false),
            ("kernel.domainname", false),
            ("fs.mqueue...", false),
        ] {
            assert_eq!(is_own(name, &plan), own, "{name}");
        }
    }
}

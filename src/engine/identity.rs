//! Who a program in a box is, once the box's own files can be asked.

use super::accounts::{BoxUser, resolve};
use super::launch::process_of;
use super::security::CAPABILITIES;
use crate::model::{Result, Trying};
use crate::sys::linux::rootdir::RootDir;
use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, Spec, UserBuilder};
use std::collections::HashSet;
use std::path::Path;

/// Looks `user` up in the box this process is in, and makes it the user of `spec`'s process: ids, groups, HOME, and
/// capabilities, which only uid 0 holds; others can gain none.
///
/// # Errors
/// The box does not know the user.
pub fn assume(spec: &mut Spec, user: &str) -> Result<BoxUser> {
    let root = RootDir::open(Path::new("/"))?;
    let found = resolve(user, &root.read(Path::new("/etc/passwd")), &root.read(Path::new("/etc/group")))?;
    let mut process = process_of(spec)?.clone();
    let identity = UserBuilder::default().uid(found.uid).gid(found.gid).additional_gids(found.groups.clone()).build();
    process.set_user(identity.trying(|| "cannot describe the box's user")?);
    let mut environment = process.env().clone().unwrap_or_default();
    let defaults = [("HOME", Some(&found.home)), ("USER", found.name.as_ref())];
    for (name, value) in defaults {
        let prefix = format!("{name}=");
        if let Some(value) = value
            && !environment.iter().any(|entry| entry.starts_with(&prefix))
        {
            environment.push(format!("{prefix}{value}"));
        }
    }
    process.set_env(Some(environment));
    if let Some(bounding) = process.capabilities().as_ref().map(|sets| sets.bounding().clone().unwrap_or_default()) {
        process.set_capabilities(Some(held_by(found.uid, bounding)?));
    }
    spec.set_process(Some(process));
    Ok(found)
}

fn held_by(uid: u32, bounding: HashSet<Capability>) -> Result<LinuxCapabilities> {
    let held = if uid == 0 { bounding.clone() } else { HashSet::new() };
    LinuxCapabilitiesBuilder::default()
        .bounding(bounding)
        .effective(held.clone())
        .permitted(held)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
        .trying(|| "cannot describe the box's capabilities")
}

/// Docker's default capabilities and `more`, for a spec's bounding set.
///
/// # Errors
/// One of `more` does not exist.
pub fn bounding(privileged: bool, more: &[String]) -> Result<LinuxCapabilities> {
    let all = crate::sys::linux::capability::NAMES;
    let base: &[&str] = if privileged { &all } else { &CAPABILITIES };
    let mut set = HashSet::new();
    for name in base.iter().copied().chain(more.iter().map(String::as_str)) {
        let parsed = serde_json::from_value(serde_json::Value::from(name));
        set.insert(parsed.trying(|| format!("there is no capability {name}"))?);
    }
    held_by(1, set)
}

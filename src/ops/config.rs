//! `devenv config`: what the files say, and what they want of this computer.

use super::Context;
use crate::config::{self, Loaded};
use crate::model::{BoxWanted, PortAddress, Project, Result};
use crate::sys::environment;

/// The project the caller stands in, with the source of each value.
///
/// # Errors
/// There is none, or something in its files is wrong.
pub fn load(context: &Context) -> Result<Loaded> {
    config::load(&config::find(&context.folder)?, &environment::variable)
}

/// The JSON schema of `devenv.toml`.
pub fn schema() -> serde_json::Value {
    config::schema::project_schema()
}

/// What a project reaches outside its own folder and boxes, as lines for somebody who must trust it.
pub fn wants(loaded: &Loaded) -> Vec<String> {
    let project = &loaded.project;
    let mut lines: Vec<String> = project.boxes.iter().flat_map(|wanted| box_wants(project, wanted)).collect();
    let hooks = project.created_hooks.iter().chain(&project.started_hooks);
    lines.extend(hooks.map(|line| format!("dev: runs by itself: {line}")));
    lines.extend(loaded.host_variables.iter().map(|name| format!("reads the variable {name} of your environment")));
    lines
}

fn box_wants(project: &Project, wanted: &BoxWanted) -> Vec<String> {
    let name = &wanted.name;
    let mut lines = Vec::new();
    for mount in wanted.mounts.iter().filter(|mount| !mount.source.starts_with(&project.folder)) {
        let how = if mount.readonly { "reads" } else { "reads and writes" };
        lines.push(format!("{name}: {how} {}", mount.source.display()));
    }
    for port in &wanted.ports {
        let open = match port.address {
            PortAddress::Loopback => None,
            PortAddress::Address(address) if address.is_loopback() => None,
            PortAddress::Address(address) => Some(format!(", reachable from outside on {address}")),
        };
        lines.push(format!("{name}: publishes port {}/{}{}", port.box_port, port.protocol, open.unwrap_or_default()));
    }
    let security = &wanted.security;
    if security.privileged {
        lines.push(format!("{name}: is privileged"));
    }
    if security.seccomp_unconfined {
        lines.push(format!("{name}: may make every system call"));
    }
    lines.extend(security.cap_add.iter().map(|capability| format!("{name}: has the capability {capability}")));
    lines.extend(security.devices.iter().map(|device| format!("{name}: uses the device {}", device.display())));
    lines
}

//! `doctor`: what this computer can and cannot do, each finding with its fix.

use super::site::{Computer, find_program};
use crate::engine::ids::IdMode;
use crate::engine::{limits, scope};
use crate::model::Result;
use crate::model::status::{Finding, Level};
use crate::ops::Context;
use crate::sys::fs::is_writable;
use crate::sys::linux::{facts, probe};
use std::path::Path;

/// First kernel with overlays in user namespaces.
const OLDEST_KERNEL: (u32, u32) = (5, 11);

/// Looks at everything `up` needs or can use.
///
/// # Errors
/// No home folder is known.
pub fn doctor(context: &Context) -> Result<Vec<Finding>> {
    let computer = Computer::look(context.caller.as_ref())?;
    Ok(vec![
        kernel(),
        user_namespaces(),
        ids(&computer),
        overlay(&computer),
        network(),
        groups(),
        state(&computer),
        git(),
    ])
}

fn finding(level: Level, topic: &str, found: impl Into<String>, fix: Option<&str>) -> Finding {
    Finding { level, topic: topic.into(), found: found.into(), fix: fix.map(str::to_owned) }
}

fn good(topic: &str, found: impl Into<String>) -> Finding {
    finding(Level::Good, topic, found, None)
}

fn kernel() -> Finding {
    let (major, minor) = facts::kernel_version();
    match (major, minor) >= OLDEST_KERNEL {
        true => good("kernel", format!("Linux {major}.{minor}")),
        false => {
            let found = format!("Linux {major}.{minor} is too old: overlays without root came with 5.11");
            finding(Level::Bad, "kernel", found, Some("update the system's kernel"))
        }
    }
}

fn user_namespaces() -> Finding {
    let topic = "user namespaces";
    let Err(why) = probe::in_child(probe::user_namespace) else { return good(topic, "allowed") };
    let says = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let fix = if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor restricts them: `./install.sh` offers a profile for devenv, or run \
         `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "run `sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        "run `sudo sysctl user.max_user_namespaces=15000`"
    } else {
        "allow them in the kernel's settings; inside another container its seccomp list may forbid them"
    };
    finding(Level::Bad, topic, format!("forbidden: {why}"), Some(fix))
}

fn ids(computer: &Computer) -> Finding {
    let topic = "user ids";
    let user = &computer.host.user_name;
    match computer.mode() {
        IdMode::Many { .. } if computer.host.uid == 0 => good(topic, "root: every id is itself"),
        IdMode::Many { count } if count >= 65_536 => good(topic, format!("{count} ids by newuidmap")),
        IdMode::Many { count } => {
            let found = format!("only {count} ids: images with higher ids lose owners");
            let fix =
                format!("give 65536: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`");
            finding(Level::Limited, topic, found, Some(&fix))
        }
        IdMode::Single if find_program("newuidmap").is_none() => {
            let found = "newuidmap is missing: boxes have one user only, and cannot install packages";
            finding(Level::Limited, topic, found, Some("install it: `sudo apt install uidmap` (Fedora: shadow-utils)"))
        }
        IdMode::Single => {
            let found = format!("/etc/subuid or /etc/subgid has no range for {user}: boxes have one user only");
            let fix = format!("`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`");
            finding(Level::Limited, topic, found, Some(&fix))
        }
    }
}

fn overlay(computer: &Computer) -> Finding {
    let topic = "overlay";
    let data = computer.layout.data();
    let existing = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let kind = facts::file_system(existing).unwrap_or("local");
    let map = computer.map().clone();
    let place = existing.to_owned();
    match probe::in_child(move || probe::overlay(&map, &place)) {
        Ok(()) => good(topic, format!("works on {} ({kind})", existing.display())),
        Err(why) => {
            let found = format!("refused on {} ({kind}): {why}", existing.display());
            let fix = "put devenv's data on a local ext4, xfs or btrfs: set DEVENV_HOME";
            finding(Level::Bad, topic, found, Some(fix))
        }
    }
}

fn network() -> Finding {
    let topic = "network";
    match probe::in_child(probe::network_filter) {
        Ok(()) => good(topic, "namespaces, bridge and nftables"),
        Err(why) => {
            let found = format!("boxes reach each other and their ports, but not the outside: {why}");
            finding(
                Level::Limited,
                topic,
                found,
                Some("load the modules: `sudo modprobe -a bridge veth nf_tables nft_redir nft_tproxy`"),
            )
        }
    }
}

fn groups() -> Finding {
    match limits::find() {
        Ok(limits::Hierarchy::Two { .. }) => good("resources", "control groups of version 2, delegated"),
        Ok(limits::Hierarchy::One { .. }) => good("resources", "control groups of version 1"),
        Err(_) if scope::is_at_hand() => {
            good("resources", "control groups of version 2, in scopes of systemd's user manager")
        }
        Err(failure) => {
            let fix = failure.get_hint().map(str::to_owned);
            finding(Level::Limited, "resources", failure.to_string(), fix.as_deref())
        }
    }
}

fn state(computer: &Computer) -> Finding {
    let data = computer.layout.data();
    let existing = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match is_writable(existing) {
        true => good("state", data.display().to_string()),
        false => {
            let found = format!("{} cannot be written", existing.display());
            finding(Level::Bad, "state", found, Some("mend its permissions, or set DEVENV_HOME"))
        }
    }
}

fn git() -> Finding {
    match find_program("git") {
        Some(path) => good("git", path.display().to_string()),
        None => {
            let found = "missing: `devenv up GIT-URL` does not work";
            finding(Level::Limited, "git", found, Some("install it: `sudo apt install git`"))
        }
    }
}

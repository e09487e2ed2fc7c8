//! `privileged`, `cap_add`, `devices`, `security`: loosening, explicit and checked.

use super::file::BoxKeys;
use super::problem::{Problem, Problems};
use crate::model::project::SecurityWanted;
use std::path::PathBuf;

/// Every capability of Linux, without `CAP_` (capabilities(7), up to Linux 5.9, the last one added).
#[rustfmt::skip] // One word a line would be a page.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE",
    "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN",
    "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT",
    "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
];

/// Reads what a box loosens.
pub fn resolve_security(keys: &BoxKeys, problems: &mut Problems) -> SecurityWanted {
    let mut wanted = SecurityWanted { privileged: keys.privileged, ..SecurityWanted::default() };
    for written in &keys.cap_add {
        let upper = written.value().to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&name) {
            wanted.cap_add.push(format!("CAP_{name}"));
            continue;
        }
        let problem = Problem::at(written.span(), format!("\"{}\" is not a capability", written.value()));
        problems.add(match name {
            "ALL" => problem.help("`privileged = true` gives all of them"),
            _ => problem.suggest(name, CAPABILITIES.into_iter(), "capabilities"),
        });
    }
    for written in &keys.devices {
        let path = PathBuf::from(written.value());
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        if !path.starts_with("/dev") || climbs {
            let what = format!("\"{}\" is not a device file", written.value());
            problems.add(Problem::at(written.span(), what).help("device files are below /dev, as `/dev/kvm`"));
        } else if !path.exists() {
            problems.add(Problem::at(written.span(), format!("this computer has no {}", path.display())));
        } else {
            wanted.devices.push(path);
        }
    }
    for written in &keys.security {
        if written.value() == "seccomp=unconfined" {
            wanted.seccomp_unconfined = true;
            continue;
        }
        let problem = Problem::at(written.span(), format!("unknown security option \"{}\"", written.value()));
        problems.add(problem.suggest(written.value(), ["seccomp=unconfined"].into_iter(), "valid options"));
    }
    wanted
}

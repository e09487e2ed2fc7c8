//! The few files that programs expect in `/etc`, and what the kernel is told below `/proc/sys`.

use super::complain;
use crate::model::{Failure, Result, Trying};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// Home of the guest's root, and so of everything that is kept: it is on the data disk.
pub const HOME: &str = "/data/home";

/// Writes the files.
///
/// # Errors
/// The first file system is full.
pub fn write(hostname: &str) -> Result<()> {
    fs::create_dir_all("/etc").trying(|| "cannot make /etc")?;
    for (path, text) in texts(hostname) {
        fs::write(path, text).trying(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

/// Tells programs who knows names.
///
/// # Errors
/// The first file system is full.
pub fn write_name_servers(servers: &[Ipv4Addr]) -> Result<()> {
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    crate::sys::fs::write_atomically(Path::new("/etc/resolv.conf"), text.as_bytes())
}

fn texts(hostname: &str) -> [(&'static str, String); 4] {
    [
        ("/etc/hostname", format!("{hostname}\n")),
        ("/etc/hosts", format!("127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n::1\tlocalhost\n")),
        ("/etc/passwd", format!("root:x:0:0:root:{HOME}:/bin/sh\n")),
        ("/etc/group", "root:x:0:\ntty:x:5:\n".to_owned()),
    ]
}

/// What editors, watchers, databases and boxes in boxes need more of than the kernel's defaults give.
const SETTINGS: [(&str, &str); 6] = [
    ("fs/inotify/max_user_watches", "1048576"),
    ("fs/inotify/max_user_instances", "8192"),
    ("fs/inotify/max_queued_events", "131072"),
    ("user/max_user_namespaces", "65536"),
    ("vm/max_map_count", "1048576"),
    ("net/core/somaxconn", "4096"),
];

/// Tells the kernel.
pub fn apply_settings() {
    for (name, value) in SETTINGS {
        let path = Path::new("/proc/sys").join(name);
        if let Err(error) = fs::write(&path, value) {
            complain(&Failure::because(format!("cannot set {}", path.display()), error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::linux::facts;

    #[test]
    fn the_files_say_who_and_where_the_guest_is() {
        let texts = texts("devenv-vm");
        let text = |path: &str| texts.iter().find(|(found, _)| *found == path).map(|(_, text)| text.as_str()).unwrap();
        let root = facts::accounts(text("/etc/passwd")).next().unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.home.as_str()), ("root", 0, HOME));
        assert_eq!(facts::groups(text("/etc/group")).count(), 2);
        assert!(text("/etc/hosts").contains("127.0.1.1\tdevenv-vm\n"));
    }
}

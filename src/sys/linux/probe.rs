//! Trying what the kernel allows, in a child process that takes the consequences with it.

use super::clone::{Forked, Namespaces, fork_into, leave_into};
use super::mount::{isolate, overlay as mount_overlay};
use super::userns::{self, IdMap};
use super::{facts, pipe, signal};
use crate::model::{Failure, Result, Trying};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Runs `attempt` in a child process. Only for processes with one thread.
///
/// # Errors
/// Why the attempt failed, as one line.
pub fn in_child(attempt: impl FnOnce() -> Result<()>) -> std::result::Result<(), String> {
    let line = |failure: Failure| failure.chain().join(": ");
    let (read, write) = pipe::new().map_err(line)?;
    match fork_into(Namespaces::default()).map_err(line)? {
        Forked::Child => {
            drop(read);
            let said = attempt().err().map(line).unwrap_or_default();
            let _ = File::from(write).write_all(said.as_bytes());
            std::process::exit(i32::from(!said.is_empty()))
        }
        Forked::Parent { pid, .. } => {
            drop(write);
            let mut said = String::new();
            let _ = File::from(read).read_to_string(&mut said);
            match signal::wait_for(pid) {
                0 => Ok(()),
                code if said.is_empty() => Err(format!("the attempt ended with {code}")),
                _ => Err(said),
            }
        }
    }
}

/// Makes a user namespace with a mount namespace in it.
///
/// # Errors
/// It is forbidden.
pub fn user_namespace() -> Result<()> {
    leave_into(Namespaces { user: true, mount: true, ..Namespaces::default() })
}

/// Mounts an overlay in a user namespace with `map`, on the file system of `place`.
///
/// # Errors
/// The kernel or the file system refuses.
pub fn overlay(map: &IdMap, place: &Path) -> Result<()> {
    let folder = place.join(format!(".devenv-probe-{}", std::process::id()));
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| folder.join(name));
    for path in [&lower, &upper, &work] {
        std::fs::create_dir_all(path).trying(|| format!("cannot write in {}", place.display()))?;
    }
    let tried = (|| {
        userns::enter_new(map)?;
        leave_into(Namespaces { mount: true, ..Namespaces::default() })?;
        isolate(false)?;
        let open = |path: &Path| File::open(path).trying(|| format!("cannot open {}", path.display()));
        mount_overlay(&[open(&lower)?], open(&upper)?, open(&work)?, &lower)
    })();
    // Its work folder belongs to the mount until that is gone.
    let _ = nix::mount::umount2(&lower, nix::mount::MntFlags::MNT_DETACH);
    let _ = crate::sys::fs::remove_tree_if_exists(&folder);
    tried
}

/// Asks for netlink of nftables in a network namespace of its own.
///
/// # Errors
/// The kernel lacks it, or forbids it.
pub fn network_filter() -> Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let user = facts::uid() != 0;
    leave_into(Namespaces { user, net: true, ..Namespaces::default() })?;
    let opened = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    opened.map(drop).trying(|| "cannot talk to nftables")
}

//! From the kernel's first breath to the moment the agent can be started: only what SSH needs. Under emulation every
//! millisecond of work here is ten, so the rest waits (`supervise`).

use super::dhcp::Lease;
use super::{clock, complain, disk, files, modules, network, program};
use crate::model::guest::{SEED_PATH, Seed};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::mount::{AccessTime, Attributes, make_first_root_leavable, mount_on};
use crate::sys::linux::{credentials, random, socket};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::Path;

/// The first half: up to the disk, and there. Gives why this program goes on from memory instead.
///
/// # Errors
/// What cannot be mended from here: no disk, a damaged one, a seed that is not one.
pub fn reach_disk() -> Result<Failure> {
    make_first_root_leavable()?;
    mount_all()?;
    let seed = read_seed()?;
    modules::load_first()?;
    disk::mount()?;
    Ok(program::settle(&seed.program))
}

/// The second half: what SSH needs.
///
/// # Errors
/// A seed that is not one; no network.
pub fn boot() -> Result<Lease> {
    if program::is_settled() {
        program::forget_first();
    }
    let seed = read_seed()?;
    // Without it the first key exchange waits for ever; with a broken one the host is asked for trouble.
    random::credit(&random_bytes(&seed)?).trying(|| "cannot seed the random generator")?;
    files::write(&seed.hostname)?;
    clock::set_at_boot(&seed);
    credentials::set_host_name(&seed.hostname)?;
    let lease = network::connect()?;
    files::write_name_servers(&lease.name_servers)?;
    disk::make_folders()?;
    socket::limit_descriptors(USUAL_DESCRIPTORS, MOST_DESCRIPTORS);
    Ok(lease)
}

/// What the guest knows of itself.
///
/// # Errors
/// It is missing or not understood.
pub fn read_seed() -> Result<Seed> {
    let text = fs::read(SEED_PATH).trying(|| format!("cannot read {SEED_PATH}"))?;
    serde_json::from_slice(&text).trying(|| format!("cannot understand {SEED_PATH}"))
}

fn random_bytes(seed: &Seed) -> Result<[u8; random::SEED_BYTES]> {
    let bytes = STANDARD.decode(&seed.random).trying(|| format!("cannot read `random` of {SEED_PATH}"))?;
    bytes.try_into().map_err(|_| Failure::new(format!("`random` of {SEED_PATH} is not {} bytes", random::SEED_BYTES)))
}

/// As systemd gives programs: what they expect, and what they may raise it to.
const USUAL_DESCRIPTORS: u64 = 1024;
const MOST_DESCRIPTORS: u64 = 1 << 20;

const PLAIN: Attributes = Attributes {
    readonly: false,
    no_suid: false,
    no_dev: false,
    no_exec: false,
    access_time: AccessTime::Kept,
    no_folder_access_time: false,
    no_symlinks: false,
};
const NO_DEVICES: Attributes = Attributes { no_suid: true, no_dev: true, ..PLAIN };
const NO_PROGRAMS: Attributes = Attributes { no_exec: true, ..NO_DEVICES };

/// Where, what, options, restrictions.
const MOUNTS: [(&str, &str, &str, Attributes); 8] = [
    ("/dev", "devtmpfs", "mode=755", Attributes { no_suid: true, ..PLAIN }),
    ("/proc", "proc", "", NO_PROGRAMS),
    ("/sys", "sysfs", "", NO_PROGRAMS),
    ("/dev/pts", "devpts", "ptmxmode=0666,mode=0620,gid=5", Attributes { no_suid: true, no_exec: true, ..PLAIN }),
    ("/dev/shm", "tmpfs", "", NO_DEVICES),
    ("/run", "tmpfs", "mode=755", NO_DEVICES),
    ("/tmp", "tmpfs", "mode=1777", NO_DEVICES),
    ("/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", NO_PROGRAMS),
];

fn mount_all() -> Result<()> {
    for (folder, kind, options, attributes) in MOUNTS {
        mount_on(Path::new(folder), kind, kind, options, attributes)?;
    }
    // A container that looks for its own /dev expects these (Documentation/admin-guide/devices.rst, "compulsory links").
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        let _ = std::os::unix::fs::symlink(target, Path::new("/dev").join(link));
    }
    if let Err(failure) = enable_controllers() {
        complain(&failure);
    }
    Ok(())
}

/// Has every controller reach the groups of boxes (cgroups(7), "Cgroups v2 controllers"). Processes in the root group are
/// no hindrance: it is the one group that may have both.
fn enable_controllers() -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let have = fs::read_to_string(root.join("cgroup.controllers")).trying(|| "cannot list the controllers")?;
    let all: Vec<String> = have.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(root.join("cgroup.subtree_control"), all.join(" ")).trying(|| "cannot enable the controllers")
}

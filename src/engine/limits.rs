//! Resource limits by control groups: version 2 where it is delegated to us, version 1 as root (cgroups(7)).

use crate::model::{Failure, Limits, Result, Trying};
use crate::sys::fs::is_writable;
use crate::sys::linux::facts;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the control groups of boxes can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// One tree; the folder below which we may make groups.
    Two { base: PathBuf },
    /// A tree a controller, each below this folder.
    One { root: PathBuf },
}

/// Where the system mounts control groups.
pub const MOUNTED_AT: &str = "/sys/fs/cgroup";

/// The controllers that carry out limits.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Finds the hierarchy this process may use.
///
/// # Errors
/// There is none, with what is missing.
pub fn find() -> Result<Hierarchy> {
    let root = Path::new(MOUNTED_AT);
    let is_two = facts::file_system(root) == Some("cgroup2");
    let found = match is_two {
        true => {
            let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
            delegated(root, own).map(|base| Hierarchy::Two { base })
        }
        false => {
            let may = CONTROLLERS.iter().all(|controller| is_writable(&root.join(controller)));
            may.then(|| Hierarchy::One { root: root.into() })
        }
    };
    found.ok_or_else(|| missing(root, is_two))
}

/// Why there is no hierarchy for us.
fn missing(root: &Path, is_two: bool) -> Failure {
    let (why, hint) =
        if facts::is_read_only(root) || CONTROLLERS.iter().any(|name| facts::is_read_only(&root.join(name))) {
            (
                "control groups are mounted read-only here",
                "in a container they are, unless it may change them; leave `resources` out",
            )
        } else if is_two {
            (
                "no control group is delegated to this user",
                "a user manager of systemd delegates them (`loginctl enable-linger` starts one), or run as root",
            )
        } else {
            (
                "this computer has control groups of version 1, which only root may use",
                "boot with systemd.unified_cgroup_hierarchy=1, run as root, or leave `resources` out",
            )
        };
    Failure::new(format!("{why}, so `resources` cannot be kept")).hint(hint)
}

/// The nearest folder from `own` upwards that we may write, and whose parent's controllers reach it.
fn delegated(root: &Path, own: &str) -> Option<PathBuf> {
    let own = root.join(own);
    own.ancestors()
        .take_while(|folder| folder.starts_with(root))
        .find(|folder| may_make_groups(folder))
        .map(Path::to_owned)
}

/// Whether groups with controllers can be made here: not in a group that holds processes itself, but for the
/// root of the tree ("no internal processes", cgroups(7)).
fn may_make_groups(folder: &Path) -> bool {
    let free = fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|text| text.trim().is_empty());
    let is_root = folder == Path::new(MOUNTED_AT);
    is_writable(folder) && is_writable(&folder.join("cgroup.subtree_control")) && (free || is_root)
}

impl Hierarchy {
    /// Makes the group `name` (`PROJECT/BOX`) with these limits and returns the folders a process has to join.
    ///
    /// # Errors
    /// A controller is missing, or a limit is refused.
    pub fn make(&self, name: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
        let made = match self {
            Hierarchy::Two { base } => make_two(base, name, limits),
            Hierarchy::One { root } => make_one(root, name, limits),
        };
        if made.is_err() {
            self.folders(name).iter().for_each(|folder| remove(folder));
        }
        made
    }

    /// Every folder that the group `name` may have, one for each tree of groups.
    pub fn folders(&self, name: &Path) -> Vec<PathBuf> {
        match self {
            Hierarchy::Two { base } => vec![base.join("devenv").join(name)],
            Hierarchy::One { root } => {
                ["memory", "cpu", "pids"].map(|controller| root.join(controller).join("devenv").join(name)).into()
            }
        }
    }
}

/// Removes the folder of a group `PROJECT/BOX`, and the project's and ours when it was the last in them. A group in
/// which processes stay stays.
pub fn remove(folder: &Path) {
    remove_when_empty(folder);
    for folder in folder.ancestors().skip(1).take(2) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// How long those who entered a box may take to notice its end.
const LEAVING: Duration = Duration::from_secs(1);

/// Removes a group, waiting a little for processes that are about to leave it: nothing tells when they have.
fn remove_when_empty(folder: &Path) {
    let deadline = Instant::now() + LEAVING;
    while let Err(error) = fs::remove_dir(folder)
        && error.kind() == ErrorKind::ResourceBusy
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Period of CPU time shares, the kernel's default (sched-bwc in the kernel's documentation).
const CPU_PERIOD_US: u64 = 100_000;

fn make_two(base: &Path, name: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
    let mut folder = base.to_path_buf();
    for part in Path::new("devenv").join(name).components() {
        for (controller, wanted) in wanted_controllers(limits) {
            if wanted {
                let control = folder.join("cgroup.subtree_control");
                fs::write(&control, format!("+{controller}"))
                    .trying(|| format!("cannot use the {controller} controller below {}", folder.display()))?;
            }
        }
        folder.push(part);
        make_group(&folder)?;
    }
    let write = |file: &str, value: String| {
        let path = folder.join(file);
        fs::write(&path, value).trying(|| format!("cannot write {}", path.display()))
    };
    if let Some(millis) = limits.cpu_millis {
        write("cpu.max", format!("{} {CPU_PERIOD_US}", millis * CPU_PERIOD_US / 1000))?;
    }
    if let Some(bytes) = limits.memory_bytes {
        write("memory.max", bytes.to_string())?;
        // Swap would only delay the end. Kernels without swap accounting lack the file.
        let _ = fs::write(folder.join("memory.swap.max"), "0");
    }
    if let Some(count) = limits.pids {
        write("pids.max", count.to_string())?;
    }
    Ok(vec![folder])
}

fn make_one(root: &Path, name: &Path, limits: &Limits) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for (controller, wanted) in wanted_controllers(limits) {
        if !wanted {
            continue;
        }
        let folder = root.join(controller).join("devenv").join(name);
        fs::create_dir_all(&folder).trying(|| format!("cannot make the control group {}", folder.display()))?;
        let write = |file: &str, value: String| {
            let path = folder.join(file);
            fs::write(&path, value).trying(|| format!("cannot write {}", path.display()))
        };
        match controller {
            "cpu" => {
                write("cpu.cfs_period_us", CPU_PERIOD_US.to_string())?;
                write("cpu.cfs_quota_us", (limits.cpu_millis.unwrap_or(0) * CPU_PERIOD_US / 1000).to_string())?;
            }
            "memory" => write("memory.limit_in_bytes", limits.memory_bytes.unwrap_or(0).to_string())?,
            _ => write("pids.max", limits.pids.unwrap_or(0).to_string())?,
        }
        folders.push(folder);
    }
    Ok(folders)
}

fn wanted_controllers(limits: &Limits) -> [(&'static str, bool); 3] {
    [("cpu", limits.cpu_millis.is_some()), ("memory", limits.memory_bytes.is_some()), ("pids", limits.pids.is_some())]
}

fn make_group(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::because(format!("cannot make the control group {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

/// Moves this process into the group `folder`.
///
/// # Errors
/// The group is gone or may not be written.
pub fn join(folder: &Path) -> Result<()> {
    let path = folder.join("cgroup.procs");
    // "0" is the writing process (cgroups(7)).
    fs::write(&path, "0").trying(|| format!("cannot enter the control group {}", folder.display()))
}

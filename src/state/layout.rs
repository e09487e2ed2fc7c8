//! Every path devenv ever writes.
//!
//! ```text
//! DATA/store/…                         images (skill `image`)
//! DATA/seccomp/…                       compiled seccomp lists
//! DATA/projects/ID/lock                held while a project is changed
//! DATA/projects/ID/project.json        what was made of it
//! DATA/projects/ID/keeper.log
//! DATA/projects/ID/boxes/NAME/         box.json, exit.json, log, hosts, resolv.conf, layer/, work/, root/
//! DATA/volumes/ID/NAME/                volumes: outlive `down`
//! DATA/trees/ID/KEY                    on a far side: the folder or file of another computer that a mount names
//! DATA/computer                        this computer's name among those that use one remote host
//! DATA/there/ID/                       a project that runs elsewhere: lock, project.json, keeper.log, sync/
//! DATA/vm/…                            the managed VM (`model::VmPaths`)
//! RUN/vm/qmp.sock
//! RUN/ID/keeper.sock
//! RUN/oci/CONTAINER/                   state.json, start.sock, seccomp-N.bpf: `devenv oci`
//! ```

use crate::model::{BoxName, Failure, Host, ProjectId, Result, Trying, VmPaths, VolumeName};
use crate::sys::environment::{path_variable, variable};
use crate::sys::fs::make_folder;
use std::path::{Path, PathBuf};

/// The roots of all paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    data: PathBuf,
    run: PathBuf,
    settings: PathBuf,
}

impl Layout {
    /// Where this user's state is: below DEVENV_HOME, otherwise in the XDG folders.
    ///
    /// # Errors
    /// No home folder is known, or the folder for sockets is somebody else's.
    pub fn find(host: &Host) -> Result<Layout> {
        if let Some(home) = path_variable("DEVENV_HOME") {
            let home = std::path::absolute(&home).trying(|| format!("cannot use DEVENV_HOME={}", home.display()))?;
            return Ok(Layout { data: home.join("data"), run: home.join("run"), settings: home.join("config.toml") });
        }
        // `directories` asks the C library for a home when HOME is unset, which a static program must not do.
        if variable("HOME").is_none_or(|home| home.is_empty()) {
            let data = host.home.join(".local/share/devenv");
            return Ok(Layout { data, run: run_folder(host)?, settings: host.home.join(".config/devenv/config.toml") });
        }
        let folders = directories::BaseDirs::new()
            .ok_or_else(|| Failure::new("cannot find a home folder").hint("set HOME or DEVENV_HOME"))?;
        // The XDG folders on every operating system: one set of paths for all documents and teams.
        let xdg = |name: &str, otherwise: &str| {
            path_variable(name).filter(|folder| folder.is_absolute()).unwrap_or(folders.home_dir().join(otherwise))
        };
        Ok(Layout {
            data: xdg("XDG_DATA_HOME", ".local/share").join("devenv"),
            run: run_folder(host)?,
            settings: xdg("XDG_CONFIG_HOME", ".config").join("devenv/config.toml"),
        })
    }

    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Folders with our state, hidden from boxes that see this computer's own tree.
    pub fn private_folders(&self) -> [&Path; 2] {
        [&self.data, &self.run]
    }

    /// The folder of sockets.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The folder of all that is kept.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The image store for boxes with this id map: ownership of files depends on it.
    pub fn store(&self, single_id: bool) -> PathBuf {
        self.data.join(if single_id { "store-single" } else { "store" })
    }

    pub fn seccomp(&self) -> PathBuf {
        self.data.join("seccomp")
    }

    /// State of the containers of `devenv oci`.
    pub fn oci(&self) -> PathBuf {
        self.run.join("oci")
    }

    /// The managed VM.
    pub fn vm(&self) -> VmPaths {
        VmPaths::new(self.data.join("vm"), self.run.join("vm"))
    }

    pub fn projects(&self) -> PathBuf {
        self.data.join("projects")
    }

    /// Where the folder or file `source` of the computer that a project belongs to is kept on this one.
    pub fn tree(&self, id: &ProjectId, source: &Path) -> PathBuf {
        self.trees(id).join(ProjectId::of_folder(source).as_str())
    }

    /// What the sync remembers of a tree.
    pub fn tree_state(&self, id: &ProjectId, source: &Path) -> PathBuf {
        self.trees(id).join("sync").join(ProjectId::of_folder(source).as_str())
    }

    /// All of a project's trees.
    pub fn trees(&self, id: &ProjectId) -> PathBuf {
        self.data.join("trees").join(id.as_str())
    }

    /// Where they are while they are being removed.
    pub fn trees_going(&self, id: &ProjectId) -> PathBuf {
        self.data.join("trees").join(format!(".{}", id.as_str()))
    }

    pub fn project(&self, id: &ProjectId) -> ProjectPaths {
        ProjectPaths {
            folder: self.projects().join(id.as_str()),
            volumes: self.data.join("volumes").join(id.as_str()),
            run: self.run.join(id.as_str()),
        }
    }
}

/// Where sockets go: short-lived, on this computer only, nobody else's.
fn run_folder(host: &Host) -> Result<PathBuf> {
    // One that is missing or somebody else's comes along with su(1) and sudo(8).
    let own = |folder: &PathBuf| crate::sys::fs::is_own_folder(folder, host.uid);
    if let Some(folder) = path_variable("XDG_RUNTIME_DIR").filter(own) {
        return Ok(folder.join("devenv"));
    }
    if host.uid == 0 {
        return Ok("/run/devenv".into());
    }
    let folder = PathBuf::from(format!("/tmp/devenv-{}", host.uid));
    match crate::sys::fs::make_private_folder(&folder) {
        Ok(()) => Ok(folder),
        Err(failure) => Err(failure.hint("set XDG_RUNTIME_DIR to a folder of your own that nobody else may enter")),
    }
}

/// Paths of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectPaths {
    folder: PathBuf,
    volumes: PathBuf,
    run: PathBuf,
}

impl ProjectPaths {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    pub fn record(&self) -> PathBuf {
        self.folder.join("project.json")
    }

    pub fn keeper_log(&self) -> PathBuf {
        self.folder.join("keeper.log")
    }

    pub fn keeper_socket(&self) -> PathBuf {
        self.run.join("keeper.sock")
    }

    /// Folder of the socket, removed with the project.
    pub fn run(&self) -> &Path {
        &self.run
    }

    pub fn boxes(&self) -> PathBuf {
        self.folder.join("boxes")
    }

    pub fn a_box(&self, name: &BoxName) -> BoxPaths {
        BoxPaths { folder: self.boxes().join(name.as_str()) }
    }

    pub fn volumes(&self) -> &Path {
        &self.volumes
    }

    pub fn volume(&self, name: &VolumeName) -> PathBuf {
        self.volumes.join(name.as_str())
    }

    /// Makes the folders of a project.
    ///
    /// # Errors
    /// The disk is full or not writable.
    pub fn make(&self) -> Result<()> {
        make_folder(&self.boxes())?;
        make_folder(&self.run)?;
        crate::sys::fs::make_private_folder(&self.folder)
    }
}

/// Paths of one box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxPaths {
    folder: PathBuf,
}

impl BoxPaths {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn record(&self) -> PathBuf {
        self.folder.join("box.json")
    }

    pub fn exit_record(&self) -> PathBuf {
        self.folder.join("exit.json")
    }

    /// The folders of its control groups, written before they are made: where groups may be made depends on the login,
    /// and another one may remove them.
    pub fn groups(&self) -> PathBuf {
        self.folder.join("groups.json")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn hosts(&self) -> PathBuf {
        self.folder.join("hosts")
    }

    pub fn resolv_conf(&self) -> PathBuf {
        self.folder.join("resolv.conf")
    }

    pub fn hostname(&self) -> PathBuf {
        self.folder.join("hostname")
    }

    /// The box's own changes: upper layer of its overlay.
    pub fn layer(&self) -> PathBuf {
        self.folder.join("layer")
    }

    /// Overlay's work folder.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the box's first process attaches its root, in its own mount namespace; empty for everybody else.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }
}

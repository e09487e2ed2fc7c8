//! A project as its file wants it: every default filled in, every name checked, every variable replaced.

use super::{BoxName, ImageSource, Limits, Mount, PortRequest, ProjectId, Tmpfs, VolumeMount};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// A project: a folder with a `devenv.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    /// What people call it; default: the folder's name.
    pub name: String,
    /// Absolute path of the folder that holds `devenv.toml`.
    pub folder: PathBuf,
    /// `dev` first, then the services in the order of their names.
    pub boxes: Vec<BoxWanted>,
    pub network: NetworkWanted,
    /// Shell lines run in `dev` after it was first created.
    pub created_hooks: Vec<String>,
    /// Shell lines run in `dev` after every start.
    pub started_hooks: Vec<String>,
}

impl Project {
    pub fn get_box(&self, name: &BoxName) -> Option<&BoxWanted> {
        self.boxes.iter().find(|wanted| wanted.name == *name)
    }
}

/// The project's network as the file wants it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkWanted {
    /// Network address and prefix length; `None`: chosen per project, stable.
    pub subnet: Option<(Ipv4Addr, u8)>,
    /// Resolvers for names that are not boxes; empty: the host's.
    pub dns: Vec<IpAddr>,
}

/// One box as the file wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxWanted {
    pub name: BoxName,
    pub image: ImageSource,
    /// Shell lines run once as root on top of the image and kept as a layer.
    pub setup: Vec<String>,
    pub mounts: Vec<Mount>,
    pub volumes: Vec<VolumeMount>,
    pub tmpfs: Vec<Tmpfs>,
    pub ports: Vec<PortRequest>,
    pub env: BTreeMap<String, String>,
    /// `None`: `dev` stays up and runs nothing; a service runs the image's.
    pub command: Option<Vec<String>>,
    /// `None`: the image's in a service, nothing in `dev`.
    pub entrypoint: Option<Vec<String>>,
    /// As in the image config: `user`, `uid`, `user:group`, `uid:gid`. `None`: the host user in `dev`, the image's in a service.
    pub user: Option<String>,
    /// `None`: the first mount's target, else the image's, else `/`.
    pub workdir: Option<PathBuf>,
    pub hostname: String,
    /// Program of `devenv shell`; `None`: the user's in the box's passwd, bash, sh.
    pub shell: Option<String>,
    /// Extra lines of `/etc/hosts`: name to address.
    pub hosts: BTreeMap<String, IpAddr>,
    pub ip: Option<Ipv4Addr>,
    /// Name below /usr/share/zoneinfo; `None`: the host's zone.
    pub timezone: Option<String>,
    pub limits: Limits,
    pub depends_on: Vec<BoxName>,
    pub security: SecurityWanted,
}

/// Loosening of the safe defaults; all empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityWanted {
    /// All capabilities of the box's own user namespace, no seccomp, nothing masked.
    pub privileged: bool,
    /// Names as `CAP_NET_ADMIN`.
    pub cap_add: Vec<String>,
    /// Device files of the host, at the same path in the box.
    pub devices: Vec<PathBuf>,
    /// No seccomp list (`security = ["seccomp=unconfined"]`).
    pub seccomp_unconfined: bool,
}

impl SecurityWanted {
    /// What is loosened, as `status` says it.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.privileged {
            words.push("privileged".to_owned());
        }
        if self.seccomp_unconfined {
            words.push("seccomp=unconfined".to_owned());
        }
        words.extend(self.cap_add.iter().cloned());
        words.extend(self.devices.iter().map(|device| device.display().to_string()));
        words
    }

    pub fn is_default(&self) -> bool {
        *self == SecurityWanted::default()
    }
}

//! `devenv.toml` as it is written. Doc comments here are the reference that users read: `docs/config.md`, the JSON
//! schema, and the lists of valid keys in errors all come from this file.

use super::place::Placed;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole file: keys of the project, and at the same level the keys of its main box, `dev`.
#[derive(JsonSchema)]
#[schemars(title = "devenv.toml", deny_unknown_fields)]
#[allow(dead_code)] // Only its schema is used: the two halves are read one by one, since flattening loses places.
pub struct ProjectFile {
    #[schemars(flatten)]
    pub project: ProjectKeys,
    #[schemars(flatten)]
    pub dev: BoxKeys,
}

/// Keys of the project as a whole.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProjectKeys {
    /// What people call the project. Default: the folder's name.
    pub name: Option<Placed<String>>,
    /// Boxes beside `dev`. `[services.NAME]` takes the same keys as the top level, except `name`, `services`, `network`
    /// and `hooks`. A service runs its image's ENTRYPOINT and CMD, and the other boxes reach it as NAME.
    pub services: BTreeMap<Placed<String>, BoxKeys>,
    /// The project's private network.
    pub network: NetworkTable,
    /// Shell lines run in `dev`.
    pub hooks: HooksTable,
}

/// Keys of one box.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct BoxKeys {
    /// The image: a reference as docker takes it (`debian:bookworm`, `ghcr.io/me/app@sha256:…`), `oci:DIR[:TAG]`,
    /// `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]`, or `host`: this computer's own root file system, read-only,
    /// which needs no download. Relative paths start at this file. Exactly one of `image` and `[build]`.
    pub image: Option<Placed<String>>,
    /// Builds the image with a Dockerfile. Not carried out by this version.
    pub build: Option<Placed<BuildTable>>,
    /// Shell lines run once on top of the image, as root, and kept as a layer; run again when they or the image change.
    pub setup: Vec<String>,
    /// Folders and files of this computer inside the box: `SOURCE:TARGET[:ro]`, or a table. A relative source starts at
    /// this file, `~/` is the home folder; a source that does not exist is an error.
    pub mounts: Vec<Placed<MountEntry>>,
    /// Named folders `NAME:TARGET[:ro]` that survive `down`; `down --volumes` removes them.
    pub volumes: Vec<Placed<String>>,
    /// Memory file systems `TARGET[:SIZE]`, as `/tmp:512m`.
    pub tmpfs: Vec<Placed<String>>,
    /// Ports of the box on this computer: `BOX`, `HOST:BOX`, `ADDRESS:HOST:BOX`, with `/udp` behind it if it is not TCP, and
    /// ranges (`9000-9003:9000-9003`). Without an address they listen on loopback only. `BOX` alone asks for the same number
    /// and takes a free one, always the same for this project, when it is taken; `HOST:BOX` fails when it is taken.
    pub ports: Vec<Placed<PortEntry>>,
    /// Environment variables. `${VAR}` and `${VAR:-default}` come from the environment of `devenv`; `$$` is a dollar. A variable
    /// that is not set and has no default is an error.
    pub env: BTreeMap<Placed<String>, Placed<EnvValue>>,
    /// Files with lines `KEY=VALUE`, relative to this file. Later files win over earlier ones, `env` wins over all.
    pub env_file: Vec<Placed<String>>,
    /// What the box runs, in place of the image's CMD: a list of words, or a string for `/bin/sh -c`. Default: `dev` stays up and
    /// runs nothing; a service runs what its image says.
    pub command: Option<CommandEntry>,
    /// In place of the image's ENTRYPOINT: a list of words, or a string for `/bin/sh -c`.
    pub entrypoint: Option<CommandEntry>,
    /// `NAME`, `UID`, `NAME:GROUP` or `UID:GID` of the box. Default: in `dev` you, with your own user and group; in a service the
    /// image's.
    pub user: Option<Placed<String>>,
    /// Absolute path in the box where commands start. Default: the first mount's target, else the image's.
    pub workdir: Option<Placed<String>>,
    /// Default: the box's name.
    pub hostname: Option<Placed<String>>,
    /// Program that `devenv shell` starts. Default: the user's shell in the box, else bash, else sh.
    pub shell: Option<Placed<String>>,
    /// Extra lines of `/etc/hosts`: name = address.
    pub hosts: BTreeMap<Placed<String>, Placed<String>>,
    /// Fixed address inside `network.subnet`. Without it a box keeps the address it got first.
    pub ip: Option<Placed<String>>,
    /// As `Europe/Berlin`. Default: this computer's.
    pub timezone: Option<Placed<String>>,
    /// What the box may use at most. A limit that this kernel cannot keep is an error.
    pub resources: ResourcesTable,
    /// Boxes that start before this one.
    pub depends_on: Vec<Placed<String>>,
    /// A check that the box works. Not carried out by this version.
    pub health: Option<Placed<HealthTable>>,
    /// Whether the box is started again when its command ends. Only `no`, the default, is carried out by this version.
    pub restart: Option<Placed<RestartWord>>,
    /// How many copies of the box run. Not carried out by this version.
    pub replicas: Option<Placed<u32>>,
    /// All capabilities of the box's own user namespace, no seccomp list, nothing masked. Shown by `status`.
    pub privileged: bool,
    /// Capabilities beyond the default ones, as `NET_ADMIN`. Shown by `status`.
    pub cap_add: Vec<Placed<String>>,
    /// Device files of this computer, as `/dev/kvm`, at the same path in the box. Shown by `status`.
    pub devices: Vec<Placed<String>>,
    /// Loosens other defaults; known: `seccomp=unconfined`. Shown by `status`.
    pub security: Vec<Placed<String>>,
}

/// `[build]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)] // Read for its shape only, so that a slip in it is told now.
pub struct BuildTable {
    /// Default: `Dockerfile` in the context.
    pub dockerfile: Option<String>,
    /// Folder the Dockerfile copies from. Default: the folder of this file.
    pub context: Option<String>,
    /// Stage to build. Default: the last.
    pub target: Option<String>,
    /// Values of ARG lines.
    pub args: BTreeMap<String, String>,
}

/// One of `mounts`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MountEntry {
    Text(String),
    Table(MountTable),
}

/// A mount as a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MountTable {
    /// Folder or file on this computer.
    pub source: String,
    /// Absolute path in the box.
    pub target: String,
    /// The box cannot write to it.
    #[serde(default)]
    pub readonly: bool,
    /// How it is kept equal where boxes run on another kernel; without meaning on this one.
    pub sync: Option<SyncWord>,
    /// Patterns as in .gitignore that are not kept equal.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// Direction of file sync.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SyncWord {
    TwoWay,
    OneWay,
    Mirror,
    None,
}

/// One of `ports`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PortEntry {
    Number(u16),
    Text(String),
}

/// A value of `env`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    Switch(bool),
    Number(i64),
    Text(String),
}

/// A command line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandEntry {
    /// Run by `/bin/sh -c`.
    Line(String),
    /// Program and arguments.
    Words(Vec<String>),
}

/// When a box is started again.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWord {
    No,
    OnFailure,
    Always,
}

/// `[health]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)] // Read for its shape only, so that a slip in it is told now.
pub struct HealthTable {
    /// Exit code 0 means healthy.
    pub command: Option<CommandEntry>,
    /// Time between two checks, as `10s`.
    pub interval: Option<String>,
    /// How long one check may take, as `5s`.
    pub timeout: Option<String>,
    /// Failures in a row before the box counts as unhealthy.
    pub retries: Option<u32>,
}

/// `[resources]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ResourcesTable {
    /// Number of CPUs, also parts of one: `1.5`.
    pub cpus: Option<Placed<f64>>,
    /// Memory, as `512m` or `2g`.
    pub memory: Option<Placed<String>>,
    /// Number of processes and threads.
    pub pids: Option<Placed<u64>>,
}

/// `[network]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct NetworkTable {
    /// Network address and prefix length, as `10.20.30.0/24`; its first address is the router's. Default: one that nothing else on
    /// this computer uses, always the same for this project.
    pub subnet: Option<Placed<String>>,
    /// Addresses of resolvers for names that are not boxes. Default: this computer's.
    pub dns: Vec<Placed<String>>,
}

/// `[hooks]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct HooksTable {
    /// Run after `dev` was first created.
    pub created: Vec<String>,
    /// Run after every start.
    pub started: Vec<String>,
}

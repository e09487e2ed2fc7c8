//! `~/.config/devenv/config.toml`: what belongs to a person or a computer, never to a project.

use super::check::check_shape;
use super::env::HostEnvironment;
use super::overlay::read;
use super::paths::host_path;
use super::place::{Placed, Sources};
use super::problem::{Problem, Problems};
use super::resolve::typed;
use super::schema::schema_of;
use super::sizes::{parse_size_bytes, size_text};
use crate::model::settings::{ProxySettings, RegistrySettings, Settings};
use crate::model::vm::{Accelerator, Driver, GuestPack, Idle, VmSettings};
use crate::model::{ImageReference, Result};
use crate::sys;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The user's own settings, in `~/.config/devenv/config.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "config.toml", deny_unknown_fields)]
pub struct SettingsFile {
    /// Where boxes run: `here`, `vm`, or `ssh://USER@HOST`. Default: `here` on Linux.
    pub place: Option<Placed<String>>,
    /// The managed virtual machine; read when it is started.
    pub vm: VmTable,
    /// How a registry is reached: `[registries."docker.io"]`.
    pub registries: BTreeMap<Placed<String>, RegistryTable>,
    /// Proxies for pulling, and for boxes from their next start. Pulling without: HTTP_PROXY, HTTPS_PROXY and NO_PROXY of
    /// the environment.
    pub proxy: ProxyTable,
    /// This computer.
    pub host: HostTable,
}

/// `[vm]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct VmTable {
    /// Number of CPUs. Default: all that this computer has.
    pub cpus: Option<Placed<u32>>,
    /// Memory, as `4g`. Default: half of this computer's, at most 8 GB; what the guest does not use is given back.
    pub memory: Option<Placed<String>>,
    /// Size of the disk, as `100g`. Default: 60 GB, of which only what is written is taken. It can grow and not shrink.
    pub disk: Option<Placed<String>>,
    /// Minutes without a running box and without a connection after which the VM ends itself; 0: never. Default: 30.
    pub idle: Option<u32>,
    /// Guest pack: a file, or `HOST/NAME@sha256:…` in a registry. Default: the one that belongs to this program.
    pub guest: Option<Placed<String>>,
    /// `kvm`, `hvf` or `tcg`. Default: the fastest that works.
    pub accelerator: Option<Placed<String>>,
    /// `qemu`, or `framework` for Apple's Virtualization.framework, which is experimental. Default: `qemu`; on a Mac that has
    /// none, `framework`.
    pub driver: Option<Placed<String>>,
}

/// `[registries.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct RegistryTable {
    /// Tried in this order before the registry itself: `HOST`, `HOST:PORT` or a URL.
    pub mirrors: Vec<String>,
    /// Allows plain HTTP, and HTTPS without checking the certificate.
    pub insecure: bool,
    /// PEM file with the registry's own certificate authority.
    pub ca: Option<Placed<String>>,
}

/// `[proxy]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ProxyTable {
    /// For http:// addresses.
    pub http: Option<String>,
    /// For https:// addresses.
    pub https: Option<String>,
    /// Hosts that are reached directly, joined by commas.
    pub no_proxy: Option<String>,
}

/// `[host]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct HostTable {
    /// PEM files with certificates to trust besides the system's, when pulling and in boxes from their next start.
    pub ca_certificates: Vec<Placed<String>>,
}

/// Reads the settings in the file at `path`; an absent file gives the defaults. Relative paths in it start at its folder.
///
/// # Errors
/// The file cannot be read; or something in it is wrong: then the failure's text is a report of all that is.
pub fn load_settings(path: &Path) -> Result<Settings> {
    let Some(text) = sys::fs::read_if_exists(path)? else { return Ok(Settings::default()) };
    let texts = [(path.display().to_string(), text)];
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let Some(mut tree) = read(&texts, &mut sources, &mut problems) else {
        return Err(problems.into_failure(&sources));
    };
    check_shape(&mut tree, &schema_of::<SettingsFile>(), &mut problems);
    let file: SettingsFile = typed(&tree, &mut problems);
    let settings = resolve(&file, path.parent().unwrap_or(Path::new("/")), &mut problems);
    if problems.is_empty() { Ok(settings) } else { Err(problems.into_failure(&sources)) }
}

fn resolve(file: &SettingsFile, folder: &Path, problems: &mut Problems) -> Settings {
    if let Some(place) = &file.place {
        let remote = place.value().strip_prefix("ssh://").is_some_and(|host| !host.is_empty());
        if !remote && !["here", "vm"].contains(&place.value().as_str()) {
            let problem = Problem::at(place.span(), format!("\"{}\" is not a place", place.value()));
            problems.add(problem.help("`here`, `vm`, or `ssh://USER@HOST`"));
        }
    }
    let mut registries = BTreeMap::new();
    for (name, table) in &file.registries {
        if ImageReference::parse(&format!("{}/x", name.value())).is_ok_and(|image| image.registry == *name.value()) {
            registries.insert(name.value().clone(), registry(table, folder, problems));
        } else {
            let problem = Problem::at(name.span(), format!("\"{}\" is not a registry", name.value()));
            problems.add(problem.help("as \"docker.io\" or \"localhost:5000\""));
        }
    }
    let proxy = ProxySettings {
        http: file.proxy.http.clone(),
        https: file.proxy.https.clone(),
        no_proxy: file.proxy.no_proxy.clone(),
    };
    let certificates = file.host.ca_certificates.iter().filter_map(|path| existing(path, folder, problems)).collect();
    Settings {
        place: file.place.as_ref().map(|place| place.value().clone()),
        vm: vm(&file.vm, folder, problems),
        registries,
        proxy,
        ca_certificates: certificates,
    }
}

/// The smallest VM that does anything useful: the guest alone boots with 128 MB.
const LEAST_MEMORY_BYTES: u64 = 256 << 20;
/// The smallest disk that holds an image and a project.
const LEAST_DISK_BYTES: u64 = 1 << 30;

fn vm(table: &VmTable, folder: &Path, problems: &mut Problems) -> VmSettings {
    let cpus = table.cpus.as_ref().and_then(|cpus| {
        let wrong = || Problem::at(cpus.span(), "`vm.cpus` must be between 1 and 255");
        problems.keep((1..=255).contains(cpus.value()).then_some(*cpus.value()).ok_or_else(wrong))
    });
    let accelerator = table.accelerator.as_ref().and_then(|word| {
        let found =
            [Accelerator::Kvm, Accelerator::Hvf, Accelerator::Tcg].into_iter().find(|a| a.name() == word.value());
        let wrong = || Problem::at(word.span(), format!("\"{}\" is not an accelerator", word.value()));
        problems.keep(found.ok_or_else(|| wrong().help("`kvm`, `hvf` or `tcg`")))
    });
    let driver = table.driver.as_ref().and_then(|word| {
        let found = match word.value().as_str() {
            "qemu" => Some(Driver::Qemu),
            "framework" => Some(Driver::Framework),
            _ => None,
        };
        let wrong = || Problem::at(word.span(), format!("\"{}\" makes no virtual machines", word.value()));
        problems.keep(found.ok_or_else(|| wrong().help("`qemu` or `framework`")))
    });
    VmSettings {
        cpus,
        memory_bytes: vm_size(table.memory.as_ref(), LEAST_MEMORY_BYTES, problems),
        disk_bytes: vm_size(table.disk.as_ref(), LEAST_DISK_BYTES, problems),
        idle: table.idle.map(|minutes| if minutes == 0 { Idle::Never } else { Idle::Minutes(minutes) }),
        guest: table.guest.as_ref().and_then(|text| match GuestPack::parse(text.value()) {
            GuestPack::File(_) => existing(text, folder, problems).map(GuestPack::File),
            artifact => Some(artifact),
        }),
        accelerator,
        driver,
    }
}

/// A size in whole MB, which is what QEMU and file systems can be given.
fn vm_size(text: Option<&Placed<String>>, least_bytes: u64, problems: &mut Problems) -> Option<u64> {
    let text = text?;
    let size = parse_size_bytes(text.value()).map(|bytes| bytes & !((1 << 20) - 1)).and_then(|bytes| {
        let too_small = || format!("{} is too small: at least {}", text.value(), size_text(least_bytes));
        if bytes >= least_bytes { Ok(bytes) } else { Err(too_small()) }
    });
    problems.keep(size.map_err(|why| Problem::at(text.span(), why).help("as \"4g\"")))
}

fn registry(table: &RegistryTable, folder: &Path, problems: &mut Problems) -> RegistrySettings {
    let ca = table.ca.as_ref().and_then(|path| existing(path, folder, problems));
    RegistrySettings { mirrors: table.mirrors.clone(), insecure: table.insecure, ca }
}

fn existing(path: &Placed<String>, folder: &Path, problems: &mut Problems) -> Option<PathBuf> {
    let read = |name: &str| sys::environment::variable(name);
    let full = host_path(path.value(), folder, &HostEnvironment::new(&read));
    let wrong = || Problem::at(path.span(), format!("{} does not exist", full.display()));
    problems.keep(full.is_file().then(|| full.clone()).ok_or_else(wrong))
}

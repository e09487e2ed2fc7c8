//! One box: its files, its description, its start and its end.

use super::base::Base;
use super::outside;
use super::site::{KnownBox, Site};
use super::tree;
use crate::engine::enter::Enter;
use crate::engine::launch::{ExitRecord, FirstProcess, HostAccount, Launch, Root, WrittenFile};
use crate::engine::payload::DEFAULT_PATH;
use crate::engine::spec::{Bind, BoxSpec};
use crate::engine::{birth, limits, seccomp, spec};
use crate::image::ImageConfig;
use crate::model::call::Person;
use crate::model::{BoxName, BoxWanted, Failure, ImageSource, Limits, Result, SyncMode, Trying};
use crate::network::address::Subnet;
use crate::state::record::box_names;
use crate::state::{BoxPaths, BoxRecord, Life};
use crate::sys::fs::{make_folder, remove_file_if_exists, remove_tree_if_exists};
use crate::sys::linux::clock;
use crate::sys::linux::credentials::give_to_root;
use crate::sys::linux::parting::HeldMounts;
use crate::sys::linux::pidfd::Identity;
use crate::sys::linux::signal;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a box may take to end after its stop signal (Docker's default).
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long a command waits for the kernel to unmount what a box had; on a busy disk it goes on behind it.
const UNMOUNT_PATIENCE: Duration = Duration::from_secs(1);

/// What a box is born with of its project.
pub struct Surroundings {
    pub address: Ipv4Addr,
    pub subnet: Subnet,
    /// All boxes of the project.
    pub boxes: Vec<BoxName>,
    pub network: OwnedFd,
    pub router: OwnedFd,
    /// As in [`birth::Belongings`].
    pub settled: OwnedFd,
}

/// The words a box runs: for a service as Docker combines ENTRYPOINT and CMD, where an own entrypoint resets the
/// image's CMD; for `dev` only what the file says.
pub fn words(wanted: &BoxWanted, config: &ImageConfig) -> Vec<String> {
    let (image_entrypoint, image_command) = match wanted.name.is_dev() {
        true => (None, None),
        false => (config.entrypoint.clone(), config.cmd.clone()),
    };
    let image_command = if wanted.entrypoint.is_some() { None } else { image_command };
    let mut words = wanted.entrypoint.clone().or(image_entrypoint).unwrap_or_default();
    words.extend(wanted.command.clone().or(image_command).unwrap_or_default());
    words
}

/// Makes the folders of a new box.
///
/// # Errors
/// The disk is full.
pub fn create(site: &Site, wanted: &BoxWanted, base: &Base) -> Result<BoxRecord> {
    let paths = site.paths.a_box(&wanted.name);
    remove_tree_if_exists(paths.folder())?;
    make_layer(&paths.layer(), &paths.work(), &paths.root())?;
    let record = BoxRecord::new(wanted.clone(), base.digest.clone(), base.layers.clone());
    record.write(&paths)?;
    Ok(record)
}

/// Makes an empty layer, owned by the box's root, with what an overlay needs beside it.
///
/// # Errors
/// The disk is full.
pub fn make_layer(layer: &Path, work: &Path, root: &Path) -> Result<()> {
    for folder in [layer, work, root] {
        make_folder(folder)?;
    }
    give_to_root(layer)
        .and_then(|()| std::fs::set_permissions(layer, std::fs::Permissions::from_mode(0o755)))
        .trying(|| format!("cannot give {} to the box's root", layer.display()))
}

/// A box to start: everything but its network.
pub struct Start<'a> {
    pub wanted: &'a BoxWanted,
    pub config: &'a ImageConfig,
    pub words: Vec<String>,
    pub user: String,
    pub root: Root,
    pub paths: &'a BoxPaths,
}

/// Starts a box that is there and not running.
///
/// # Errors
/// What it could not be started from; it is then not running.
pub fn start(site: &Site, program: &OwnedFd, start: &Start, around: Surroundings) -> Result<Life> {
    let Start { wanted, paths, .. } = start;
    write_network_files(wanted, paths, around.address, around.subnet.gateway())?;
    let cgroups = make_group(site, wanted, paths)?;
    let launch = describe(site, start, &around, cgroups.clone())?;
    let open = |path: PathBuf, append: bool| {
        File::options()
            .create(true)
            .append(append)
            .write(true)
            .truncate(!append)
            .open(&path)
            .trying(|| format!("cannot write {}", path.display()))
    };
    let belongings = birth::Belongings {
        exit_record: open(paths.exit_record(), false)?.into(),
        log: open(paths.log(), true)?.into(),
        network: around.network,
        router: around.router,
        settled: around.settled,
    };
    let entry = Enter {
        init: Identity { pid: 0, start_ticks: 0, boot_id: String::new() },
        spec: launch.spec.clone(),
        user: start.user.clone(),
        command: Vec::new(),
        shells: wanted.shell.clone().into_iter().collect(),
        terminal: false,
        single_id: launch.single_id,
        cgroups: cgroups.clone(),
        seccomp: launch.seccomp.clone(),
    };
    let born = birth::start(program, &launch, belongings);
    if born.is_err() {
        remove_group(paths);
    }
    let init = born.trying(|| format!("cannot start {}", wanted.name))?;
    Ok(Life {
        entry: serde_json::to_value(Enter { init: init.clone(), ..entry }).trying(|| "cannot record the box")?,
        init,
        started_at: clock::now_rfc3339(),
        ip: around.address,
        cgroups,
        stop_signal: start.config.stop_signal.clone(),
    })
}

fn describe(site: &Site, start: &Start, around: &Surroundings, cgroups: Vec<PathBuf>) -> Result<Launch> {
    let Start { wanted, config, paths, .. } = start;
    let settings = site.computer.settings()?;
    let authorities = outside::authorities(&settings)?;
    let has = |name: &str| wanted.env.iter().any(|(known, _)| known == name);
    let image_has = |name: &str| config.env.iter().any(|entry| entry.split('=').next() == Some(name));
    let mut outside = outside::trust_variables(&authorities);
    outside.retain(|(name, _)| !image_has(name));
    outside.extend(outside::proxy_variables(&settings.proxy, around.subnet, &around.boxes, has));
    let folder = wanted.workdir.clone().or_else(|| config.workdir.clone().map(PathBuf::from)).unwrap_or("/".into());
    let zone = wanted.timezone.clone().or_else(clock::host_zone);
    let box_spec = BoxSpec {
        root: paths.root(),
        hostname: wanted.hostname.clone(),
        arguments: start.words.clone(),
        environment: environment(wanted, config, zone.as_deref(), &outside),
        folder,
        binds: binds(site, wanted, paths)?,
        tmpfs: wanted.tmpfs.iter().map(|tmpfs| (tmpfs.target.clone(), tmpfs.size_bytes)).collect(),
        security: wanted.security.clone(),
        single_id: site.computer.has_single_id(),
    };
    let host = &site.computer.host;
    let unconfined = wanted.security.privileged || wanted.security.seccomp_unconfined;
    Ok(Launch {
        spec: spec::build(&box_spec)?,
        root: start.root.clone(),
        files: zone_file(wanted.timezone.as_deref())?,
        authorities,
        account: wanted.name.is_dev().then(|| account(site)),
        user: Some(start.user.clone()),
        single_id: site.computer.has_single_id(),
        first: if start.words.is_empty() { FirstProcess::Idle } else { FirstProcess::Supervised },
        cgroups,
        seccomp: match unconfined {
            true => Vec::new(),
            false => seccomp::programs(&site.computer.layout.seccomp(), &host.architecture)?,
        },
    })
}

/// The root of a box: its own layer over what it stands on.
pub fn root_of(site: &Site, wanted: &BoxWanted, layers: &[PathBuf], upper: PathBuf, work: PathBuf) -> Root {
    if wanted.image != ImageSource::Host {
        return Root::Layers { lowers: layers.to_vec(), upper, work };
    }
    let fixed = ["/root", "/run", "/tmp", "/mnt", "/media"].map(PathBuf::from);
    let own = site.computer.layout.private_folders().map(Path::to_owned);
    let own = own.into_iter().chain([site.computer.host.home.clone()]);
    let hidden = fixed.into_iter().chain(own).filter(|path| path != Path::new("/")).collect();
    Root::Host { layers: layers.to_vec(), upper, work, hidden }
}

/// The user of a box's programs when nobody names another: the host's user in `dev`, the image's in a service.
pub fn default_user(site: &Site, wanted: &BoxWanted, config: &ImageConfig) -> String {
    let person = &site.computer.person;
    match (&wanted.user, wanted.name.is_dev()) {
        (Some(user), _) => user.clone(),
        (None, true) => format!("{}:{}", person.uid, person.gid),
        (None, false) => config.user.clone().unwrap_or_else(|| "0".into()),
    }
}

fn account(site: &Site) -> HostAccount {
    let Person { name, uid, gid } = site.computer.person.clone();
    let home = if uid == 0 { "/root".into() } else { format!("/home/{name}") };
    HostAccount { name, uid, gid, home }
}

/// Later ones win: what holds for every box, what the image says, what this computer needs (`outside`), and what the
/// project's file says.
fn environment(
    wanted: &BoxWanted,
    config: &ImageConfig,
    zone: Option<&str>,
    outside: &[(String, String)],
) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = vec![("PATH".into(), DEFAULT_PATH.into())];
    let mut set = |name: &str, value: &str| {
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value.to_owned()));
    };
    set("HOSTNAME", &wanted.hostname);
    // Tells programs that they are in a container, and in whose (systemd's container interface).
    set("container", "devenv");
    if let Some(zone) = zone {
        set("TZ", zone);
    }
    for entry in &config.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        set(name, value);
    }
    let outside = outside.iter().map(|(name, value)| (name, value));
    for (name, value) in outside.chain(&wanted.env) {
        set(name, value);
    }
    environment
}

fn binds(site: &Site, wanted: &BoxWanted, paths: &BoxPaths) -> Result<Vec<Bind>> {
    let file = |source: PathBuf, target: &str| Bind { source, target: target.into(), readonly: false };
    let mut binds = vec![
        file(paths.hosts(), "/etc/hosts"),
        file(paths.resolv_conf(), "/etc/resolv.conf"),
        file(paths.hostname(), "/etc/hostname"),
    ];
    for mount in &wanted.mounts {
        let source = site.source_of(mount);
        if site.context.caller.is_some() && mount.sync == SyncMode::None {
            tree::make_own(&source, &site.computer)?;
        }
        if !source.exists() {
            return Err(Failure::new(format!(
                "cannot mount {} in {}: it does not exist",
                mount.source.display(),
                wanted.name
            ))
            .hint("make it, or change `mounts`"));
        }
        binds.push(Bind { source, target: mount.target.clone(), readonly: mount.readonly });
    }
    for volume in &wanted.volumes {
        let source = site.paths.volume(&volume.name);
        if !source.exists() {
            make_folder(&source)?;
            // Anybody in the box may be who uses it, as with Docker's volumes made by an image's own user.
            give_to_root(&source)
                .and_then(|()| std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o1777)))
                .trying(|| format!("cannot make the volume {}", volume.name))?;
        }
        binds.push(Bind { source, target: volume.target.clone(), readonly: volume.readonly });
    }
    Ok(binds)
}

/// Writes `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` of a box. In place: a running box sees the change.
///
/// # Errors
/// The disk is full.
pub fn write_network_files(wanted: &BoxWanted, paths: &BoxPaths, address: Ipv4Addr, gateway: Ipv4Addr) -> Result<()> {
    let hostname = &wanted.hostname;
    let names = if wanted.name.as_str() == hostname { hostname.clone() } else { format!("{hostname} {}", wanted.name) };
    let mut hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{names}\n");
    for (name, address) in &wanted.hosts {
        hosts.push_str(&format!("{address}\t{name}\n"));
    }
    for (path, text) in [
        (paths.hosts(), hosts),
        (paths.resolv_conf(), format!("nameserver {gateway}\n")),
        (paths.hostname(), format!("{hostname}\n")),
    ] {
        std::fs::write(&path, text).trying(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// `/etc/localtime` of a box: the bytes themselves, so that the image needs no zone data.
fn zone_file(zone: Option<&str>) -> Result<Vec<WrittenFile>> {
    let path = match zone {
        Some(zone) => Path::new("/usr/share/zoneinfo").join(zone),
        None => PathBuf::from("/etc/localtime"),
    };
    // A host without zone data still has TZ to give, which images with zone data understand.
    let Ok(content) = std::fs::read(&path) else { return Ok(Vec::new()) };
    Ok(vec![WrittenFile { path: "/etc/localtime".into(), content, mode: 0o644 }])
}

/// Removes the control groups of all boxes of which there is a folder: a box may have been killed on its way to some.
pub fn remove_groups(site: &Site) {
    for name in box_names(&site.paths).unwrap_or_default() {
        remove_group(&site.paths.a_box(&name));
    }
}

fn make_group(site: &Site, wanted: &BoxWanted, paths: &BoxPaths) -> Result<Vec<PathBuf>> {
    if wanted.limits == Limits::default() {
        return Ok(Vec::new());
    }
    let name = Path::new(site.id.as_str()).join(wanted.name.as_str());
    let make = || {
        let hierarchy = limits::find()?;
        let (path, noted) = (paths.groups(), serde_json::json!(hierarchy.folders(&name)));
        std::fs::write(&path, noted.to_string()).trying(|| format!("cannot write {}", path.display()))?;
        hierarchy.make(&name, &wanted.limits)
    };
    make().trying(|| format!("cannot limit the resources of {}", wanted.name))
}

/// Removes the control groups of a box that does not run.
pub fn remove_group(paths: &BoxPaths) {
    // A file that was cut short is of before the computer went down, and so are its groups.
    let noted = std::fs::read(paths.groups()).ok().and_then(|text| serde_json::from_slice::<Vec<PathBuf>>(&text).ok());
    noted.iter().flatten().for_each(|folder| limits::remove(folder));
}

/// Ends a running box: its stop signal, and after 10 s without an end SIGKILL. Its layer stays.
///
/// # Errors
/// It does not end.
pub fn stop(site: &Site, known: &mut KnownBox) -> Result<()> {
    let record = &mut known.record;
    // Before the box hears of it: whoever finds it dying knows that it is not up.
    record.stopped = true;
    // A full disk must not keep a box alive; at worst its end will look like an accident.
    if let Err(failure) = record.write(&site.paths.a_box(&record.wanted.name)) {
        site.context.events.warn(failure.chain().join(": "));
    }
    if let Some(process) = known.process.take() {
        let wanted = record.life.as_ref().and_then(|life| life.stop_signal.as_deref()).and_then(signal::number);
        let mounts = HeldMounts::of(&process);
        process.signal(wanted.unwrap_or(signal::TERMINATE));
        // A program that is stopped (SIGSTOP) would not hear it.
        process.signal(signal::CONTINUE);
        if !process.wait(STOP_PATIENCE) {
            process.signal(signal::KILL);
            if !process.wait(STOP_PATIENCE) {
                return Err(Failure::new(format!("{} does not end, even killed", record.wanted.name))
                    .hint("one of its processes hangs in the kernel: a lost disk or network file system?"));
            }
        }
        if let Some(mounts) = mounts {
            mounts.let_go(UNMOUNT_PATIENCE);
        }
    }
    remove_group(&site.paths.a_box(&record.wanted.name));
    Ok(())
}

/// Removes a box that does not run, with its layer.
///
/// # Errors
/// Something in its folder cannot be removed.
pub fn remove(site: &Site, record: &BoxRecord) -> Result<()> {
    let paths = site.paths.a_box(&record.wanted.name);
    remove_group(&paths);
    // First: a record never speaks of a box that is half removed.
    remove_file_if_exists(&paths.record())?;
    remove_tree_if_exists(paths.folder())
}

/// The first process that a box was last born with; `None` once it wrote how it ended.
pub fn born(paths: &BoxPaths) -> Option<Identity> {
    serde_json::from_slice(&std::fs::read(paths.exit_record()).ok()?).ok()
}

/// How a box's program ended; `None` when nobody wrote it down: it was killed, or the computer went down.
pub fn exit_record(paths: &BoxPaths) -> Option<ExitRecord> {
    serde_json::from_slice(&std::fs::read(paths.exit_record()).ok()?).ok()
}

//! The device files of a box: views of the host's, or made anew where this process is root for real.

use crate::model::{Failure, Result, Trying};
use crate::sys::linux::mount::{Detached, attach, view};
use crate::sys::linux::rootdir::{Device, PlaceKind, RootDir, is_character_device};
use crate::sys::linux::userns;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, Spec};
use std::path::{Path, PathBuf};

/// Device files every box has (OCI runtime-spec, "Default Devices"), with their numbers.
const DEFAULT: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The devices of one box.
pub enum Devices {
    /// The box has the host's `/dev` or one of its own.
    Foreign,
    /// Views of the host's files: device files cannot be made in a user namespace.
    Views(Vec<(PathBuf, Detached)>),
    Made(Vec<(PathBuf, Device)>),
}

/// Opens what has to be opened on the host's side.
///
/// # Errors
/// A device is missing, or the host's /dev/null is not what it should be.
pub fn open(spec: &Spec) -> Result<Devices> {
    let foreign = |mount: &oci_spec::runtime::Mount| {
        let bind = mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind");
        bind && mount.destination().components().eq(Path::new("/dev").components())
    };
    if spec.mounts().iter().flatten().any(foreign) {
        return Ok(Devices::Foreign);
    }
    let wanted = spec.linux().iter().flat_map(|linux| linux.devices().iter().flatten());
    if userns::is_first() {
        let device = |(name, major, minor)| {
            let path = Path::new("/dev").join(name);
            (path, Device { kind: 'c', major, minor, mode: 0o666, uid: 0, gid: 0 })
        };
        return Ok(Devices::Made(DEFAULT.into_iter().map(device).chain(wanted.map(as_device)).collect()));
    }
    let mut views = Vec::new();
    for (name, major, minor) in DEFAULT {
        let path = Path::new("/dev").join(name);
        let device = view(&path, false)?;
        if !is_character_device(&device, major, minor) {
            return Err(Failure::new(format!("{} of this computer is not the device it should be", path.display())));
        }
        views.push((path, device));
    }
    for device in wanted {
        views.push((device.path().clone(), view(device.path(), false)?));
    }
    Ok(Devices::Views(views))
}

fn as_device(wanted: &LinuxDevice) -> (PathBuf, Device) {
    let kind = match wanted.typ() {
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::P => 'p',
        LinuxDeviceType::A | LinuxDeviceType::C | LinuxDeviceType::U => 'c',
    };
    let device = Device {
        kind,
        major: wanted.major().unsigned_abs(),
        minor: wanted.minor().unsigned_abs(),
        mode: wanted.file_mode().unwrap_or(0o666) & 0o7777,
        uid: wanted.uid().unwrap_or(0),
        gid: wanted.gid().unwrap_or(0),
    };
    (wanted.path().clone(), device)
}

/// Puts the devices, and the symlinks that belong to them, into the tree.
///
/// # Errors
/// A place cannot be made.
pub fn place(tree: &RootDir, devices: Devices) -> Result<()> {
    if tree.find(Path::new("/dev"))?.is_none() {
        return Ok(());
    }
    match devices {
        Devices::Foreign => return Ok(()),
        Devices::Views(views) => {
            for (path, device) in views {
                attach(&device, tree.place(&path, PlaceKind::File)?)
                    .trying(|| format!("cannot give the box the device {}", path.display()))?;
            }
        }
        Devices::Made(made) => made.iter().try_for_each(|(path, device)| tree.make_device(path, *device))?,
    }
    for (path, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        tree.link(Path::new(path), target)?;
    }
    if Path::new("/proc/kcore").exists() {
        tree.link(Path::new("/dev/core"), "/proc/kcore")?;
    }
    Ok(())
}

/// Makes /dev/console of a box at which nobody sits: what is written there goes nowhere.
///
/// # Errors
/// The place cannot be made.
pub fn place_empty_console(tree: &RootDir) -> Result<()> {
    match view(Path::new("/dev/null"), false) {
        Ok(null) => attach(&null, tree.place(Path::new("/dev/console"), PlaceKind::File)?),
        Err(_) => Ok(()),
    }
}

//! Mounts by descriptor (the mount API of kernels 5.2 to 5.12: open_tree, fsopen, mount_setattr, move_mount):
//! no path is looked up twice, so nothing can be swapped in between.

use crate::model::{Failure, Result, Trying};
use nix::mount::{MntFlags, MsFlags, umount2};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Restrictions of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    pub readonly: bool,
    pub no_suid: bool,
    pub no_dev: bool,
    pub no_exec: bool,
    pub access_time: AccessTime,
    pub no_folder_access_time: bool,
    /// Symbolic links on it lead nowhere (kernel 5.14).
    pub no_symlinks: bool,
}

/// When reading a file counts as a use of it (mount(8)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessTime {
    /// As it is; for a new file system the kernel's default, `relatime`.
    #[default]
    Kept,
    Relative,
    Never,
    Always,
}

impl Attributes {
    fn bits(self) -> u64 {
        let pairs = [
            (self.readonly, libc::MOUNT_ATTR_RDONLY),
            (self.no_suid, libc::MOUNT_ATTR_NOSUID),
            (self.no_dev, libc::MOUNT_ATTR_NODEV),
            (self.no_exec, libc::MOUNT_ATTR_NOEXEC),
            (self.no_folder_access_time, libc::MOUNT_ATTR_NODIRATIME),
            (self.no_symlinks, libc::MOUNT_ATTR_NOSYMFOLLOW),
        ];
        let flags: u64 = pairs.iter().filter(|(wanted, _)| *wanted).map(|(_, bit)| *bit).sum();
        flags
            | match self.access_time {
                AccessTime::Kept | AccessTime::Relative => 0,
                AccessTime::Never => libc::MOUNT_ATTR_NOATIME,
                AccessTime::Always => libc::MOUNT_ATTR_STRICTATIME,
            }
    }

    /// The times are one field of several bits: setting it means clearing it first (mount_setattr(2)).
    fn cleared(self) -> u64 {
        if self.access_time == AccessTime::Kept { 0 } else { libc::MOUNT_ATTR__ATIME }
    }
}

/// A mount that is not attached anywhere yet.
pub struct Detached(OwnedFd);

impl AsFd for Detached {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Detached> for OwnedFd {
    fn from(mount: Detached) -> OwnedFd {
        mount.0
    }
}

/// Stops mounts of this namespace from reaching others; mounts of the host still arrive when `receive`.
///
/// # Errors
/// The namespace is not ours.
pub fn isolate(receive: bool) -> Result<()> {
    let kind = if receive { MsFlags::MS_SLAVE } else { MsFlags::MS_PRIVATE };
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | kind, None::<&str>)
        .trying(|| "cannot make the mounts of the new namespace private")
}

/// A second view of what is at `path`, with all mounts below it when `recursive` (open_tree(2)).
///
/// # Errors
/// `path` is missing or may not be looked up.
pub fn view(path: &Path, recursive: bool) -> Result<Detached> {
    let text = c_path(path)?;
    // OPEN_TREE_CLOEXEC is O_CLOEXEC.
    let mut flags = libc::OPEN_TREE_CLONE | libc::O_CLOEXEC as u32;
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: `text` is a C string that outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, text.as_ptr(), flags) };
    descriptor(fd).map(Detached).trying(|| format!("cannot open {} for mounting", path.display()))
}

/// A second view of the open file `file` by itself.
///
/// # Errors
/// As open_tree(2).
pub fn view_of(file: impl AsFd) -> Result<Detached> {
    let flags = libc::OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: the path is the empty C string.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, file.as_fd().as_raw_fd(), c"".as_ptr(), flags) };
    descriptor(fd).map(Detached).trying(|| "cannot open a file for mounting")
}

/// Restricts a detached mount, and those below it when `recursive` (mount_setattr(2)).
///
/// # Errors
/// As mount_setattr(2).
pub fn restrict(mount: &Detached, attributes: Attributes, recursive: bool) -> Result<()> {
    set_attributes(mount, attributes.bits(), attributes.cleared(), 0, recursive).trying(|| "cannot restrict a mount")
}

/// How mounts and unmounts below a mount travel (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

impl Propagation {
    fn flag(self) -> MsFlags {
        match self {
            Propagation::Private => MsFlags::MS_PRIVATE,
            Propagation::Slave => MsFlags::MS_SLAVE,
            Propagation::Shared => MsFlags::MS_SHARED,
            Propagation::Unbindable => MsFlags::MS_UNBINDABLE,
        }
    }
}

/// Sets the propagation of a detached mount, and of those below it when `recursive`.
///
/// # Errors
/// As mount_setattr(2).
pub fn propagate(mount: &Detached, kind: Propagation, recursive: bool) -> Result<()> {
    set_attributes(mount, 0, 0, kind.flag().bits(), recursive).trying(|| "cannot set the propagation of a mount")
}

/// Sets the propagation of the root of this namespace, and of what is below it when `recursive`.
///
/// # Errors
/// As mount(2).
pub fn propagate_root(kind: Propagation, recursive: bool) -> Result<()> {
    let flags = kind.flag() | if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .trying(|| "cannot set the propagation of the box's root")
}

fn set_attributes(mount: &Detached, set: u64, clear: u64, propagation: u64, recursive: bool) -> std::io::Result<()> {
    let wanted = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the empty path is a C string, `wanted` outlives the call and its size is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.0.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// A new instance of a file system (fsopen(2)): `options` are `key` or `key=value`.
///
/// # Errors
/// The kernel does not know it, or refuses an option or the whole.
pub fn file_system(kind: &str, options: &[&str], attributes: Attributes) -> Result<Detached> {
    let made = (|| {
        let name = CString::new(kind)?;
        // FSOPEN_CLOEXEC is 1. SAFETY: `name` is a C string that outlives the call.
        let context = descriptor(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), 1) })?;
        for option in options {
            match option.split_once('=') {
                Some((key, value)) => configure(&context, libc::FSCONFIG_SET_STRING, Some(key), Some(value))?,
                None => configure(&context, libc::FSCONFIG_SET_FLAG, Some(option), None)?,
            }
        }
        configure(&context, libc::FSCONFIG_CMD_CREATE, None, None)?;
        // FSMOUNT_CLOEXEC is 1. SAFETY: plain numbers.
        descriptor(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, attributes.bits()) })
    })();
    made.map(Detached).trying(|| format!("cannot mount a {kind} file system"))
}

fn configure(context: &OwnedFd, command: u32, key: Option<&str>, value: Option<&str>) -> std::io::Result<()> {
    let key = key.map(CString::new).transpose()?;
    let value = value.map(CString::new).transpose()?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: both strings outlive the call; the commands used here take C strings or null.
    let result =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(&key), pointer(&value), 0) };
    check(result)
}

/// An overlay of `lowers` (bottom first) under `upper`, attached at `target`. The folders are passed as
/// `/proc/self/fd/N`: no path needs escaping and all fit the one page that mount(2) takes. Without the index an overlay
/// of the same `upper` that is still being unmounted is no obstacle (EBUSY).
///
/// # Errors
/// The kernel or the file system of `upper` does not support overlays in a user namespace (needs kernel 5.11).
pub fn overlay(lowers: &[impl AsFd], upper: impl AsFd, work: impl AsFd, target: &Path) -> Result<()> {
    let path = |fd: std::os::fd::BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lowerdir: Vec<String> = lowers.iter().rev().map(|fd| path(fd.as_fd())).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr,index=off",
        lowerdir.join(":"),
        path(upper.as_fd()),
        path(work.as_fd())
    );
    if options.len() >= 4096 {
        return Err(Failure::new(format!("cannot overlay {} layers: too many for this kernel", lowers.len())));
    }
    nix::mount::mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .trying(|| format!("cannot mount the overlay of {} layers", lowers.len()))
        .map_err(|failure| {
            failure.hint("overlays without root need Linux 5.11 and a local file system (not NFS) for devenv's data")
        })
}

/// Attaches a detached mount at the place behind `target`.
///
/// # Errors
/// As move_mount(2): a folder cannot be mounted on a file, nor the reverse.
pub fn attach(mount: &Detached, target: impl AsFd) -> Result<()> {
    // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH of linux/mount.h.
    let flags = 0x0000_0004 | 0x0000_0040;
    // SAFETY: both paths are the empty C string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.0.as_raw_fd(),
            c"".as_ptr(),
            target.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    check(result).trying(|| "cannot attach a mount")
}

/// Makes the mount whose top `root` is the root of this mount namespace and lets go of the old one (pivot_root(2),
/// the `pivot_root(".", ".")` form of its notes).
///
/// # Errors
/// As pivot_root(2).
pub fn pivot_into(root: impl AsFd) -> Result<()> {
    let pivoted = (|| {
        nix::unistd::fchdir(root)?;
        nix::unistd::pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        nix::unistd::chdir("/")
    })();
    pivoted.trying(|| "cannot change to the box's root")
}

/// Gives this process, and the kernel's own threads, a root that [`pivot_into`] can leave: the kernel's first file
/// system (rootfs) is no mount on anything and cannot be left, a second view of it can.
/// To be called by process 1 before it has mounted anything.
///
/// # Errors
/// As mount(2) and chroot(2).
pub fn make_first_root_leavable() -> Result<()> {
    let moved = (|| {
        let again = Path::new("/.root");
        std::fs::create_dir_all(again)?;
        let none = None::<&str>;
        nix::mount::mount(Some("/"), again, none, MsFlags::MS_BIND, none)?;
        nix::unistd::chdir(again)?;
        nix::mount::mount(Some("."), "/", none, MsFlags::MS_MOVE, none)?;
        nix::unistd::chroot(".")?;
        nix::unistd::chdir("/")?;
        std::fs::remove_dir("/.root")
    })();
    moved.trying(|| "cannot prepare the first root")
}

/// Mounts a file system on a folder, which is made when it is missing; `options` as mount(8) takes them.
///
/// # Errors
/// As mount(2).
pub fn mount_on(folder: &Path, kind: &str, source: &str, options: &str, attributes: Attributes) -> Result<()> {
    let pairs = [
        (attributes.no_suid, MsFlags::MS_NOSUID),
        (attributes.no_dev, MsFlags::MS_NODEV),
        (attributes.no_exec, MsFlags::MS_NOEXEC),
        (attributes.access_time == AccessTime::Never, MsFlags::MS_NOATIME),
    ];
    let flags = pairs.iter().filter(|(wanted, _)| *wanted).fold(MsFlags::empty(), |all, (_, flag)| all | *flag);
    let options = (!options.is_empty()).then_some(options);
    let mounted = std::fs::create_dir_all(folder)
        .and_then(|()| Ok(nix::mount::mount(Some(source), folder, Some(kind), flags, options)?));
    mounted.trying(|| format!("cannot mount {kind} on {}", folder.display()))
}

/// Takes a mount away, or makes it read-only while somebody uses it.
///
/// # Errors
/// Somebody writes to it.
pub fn unmount_or_freeze(folder: &Path) -> std::io::Result<()> {
    if umount2(folder, MntFlags::empty()).is_ok() {
        return Ok(());
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    Ok(nix::mount::mount(None::<&str>, folder, None::<&str>, flags, None::<&str>)?)
}

fn descriptor(result: libc::c_long) -> std::io::Result<OwnedFd> {
    check(result)?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

fn check(result: libc::c_long) -> std::io::Result<()> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).trying(|| format!("{} holds a NUL byte", path.display()))
}

/// Whether what is mounted is a folder.
pub fn is_folder(mount: &Detached) -> bool {
    nix::sys::stat::fstat(&mount.0).is_ok_and(|facts| facts.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Makes a mount read-only that is attached by now; those below it stay as they are.
///
/// # Errors
/// As mount_setattr(2).
pub fn make_readonly(mount: &Detached) -> Result<()> {
    restrict(mount, Attributes { readonly: true, ..Attributes::default() }, false)
}

/// Makes the root of this namespace read-only.
///
/// # Errors
/// As mount(2).
pub fn make_root_readonly() -> Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .trying(|| "cannot make the box's root read-only")
}

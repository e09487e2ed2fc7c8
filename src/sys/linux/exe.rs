//! This program as a file: which build it is, and a view of it that nobody can write through.

use super::clone::{Namespaces, leave_into};
use super::mount::{Attributes, isolate, restrict, view};
use crate::model::{Failure, Result, Trying};
use std::fs::File;
use std::io::{Seek, copy};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where this program is as a path that works also after the file was replaced.
const SELF: &str = "/proc/self/exe";

/// Tells builds apart: version, inode, size and change time of the program's file.
pub fn build_id() -> String {
    crate::sys::program::build_id(env!("CARGO_PKG_VERSION"))
}

/// The program through a read-only mount that is attached nowhere, to be executed inside boxes.
///
/// A process in a box can reach the file it was executed from (`/proc/PID/exe`) and, being mapped to the file's
/// owner, could overwrite the program on the host (the idea of CVE-2019-5736). Through this mount it cannot, and all
/// boxes share one page cache. To be called in the user namespace that owns the box.
///
/// # Errors
/// Neither the mount (kernel 5.12) nor a sealed copy in memory can be made.
pub fn sealed() -> Result<OwnedFd> {
    // A thread of its own, because it leaves the mount namespace.
    let mounted = std::thread::Builder::new().spawn(|| -> Result<OwnedFd> {
        leave_into(Namespaces { mount: true, ..Namespaces::default() })?;
        isolate(false)?;
        let path = std::fs::read_link(SELF).trying(|| "cannot find this program's file")?;
        let program = view(&path, false)?;
        restrict(&program, Attributes { readonly: true, ..Attributes::default() }, false)?;
        let opened = std::fs::metadata(path_of(&program)).trying(|| "cannot look at this program's file")?;
        let running = std::fs::metadata(SELF).trying(|| "cannot look at this program's file")?;
        if (opened.dev(), opened.ino()) != (running.dev(), running.ino()) {
            return Err(Failure::new("this program's file was replaced while it ran"));
        }
        Ok(program.into())
    });
    match mounted.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(program))) => Ok(program),
        // No mount, or not even a thread for it.
        _ => sealed_copy(),
    }
}

/// A copy in memory that can be neither changed nor truncated (memfd_create(2), F_ADD_SEALS).
fn sealed_copy() -> Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let copied = (|| {
        let memory = memfd_create(c"devenv", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = File::from(memory);
        copy(&mut File::open(SELF)?, &mut file)?;
        file.rewind()?;
        let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        std::io::Result::Ok(file.into())
    })();
    copied.trying(|| "cannot make a sealed copy of this program")
}

/// A path by which an open descriptor can be executed or opened by this process and its children.
pub fn path_of(fd: &impl std::os::fd::AsFd) -> PathBuf {
    Path::new("/proc/self/fd").join(fd.as_fd().as_raw_fd().to_string())
}

/// The program that a process runs, as a path that works also where its file is gone.
pub fn of_process(pid: u32) -> PathBuf {
    format!("/proc/{pid}/exe").into()
}

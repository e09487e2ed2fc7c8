//! This program's file. The guest's first file system is memory that nobody gets back, so the program moves to the disk,
//! where the kernel keeps in memory only what is used of it.

use super::disk;
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::spawn;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where the host left it.
const FIRST: &str = "/init";
/// First word of the command line when it runs from the disk.
const SETTLED: &str = "__settled";

/// Whether process 1 runs from the disk.
pub fn is_settled() -> bool {
    crate::sys::environment::arguments().first().is_some_and(|word| word == SETTLED)
}

/// Goes on as the same program on the disk, which has to be mounted. Returns only when that cannot be done; the guest
/// works from memory too.
pub fn settle(identity: &str) -> Failure {
    match place(identity) {
        Ok(program) => {
            let error = spawn::become_program(&program, &[SETTLED], &[]);
            Failure::because(format!("cannot run {}", program.display()), error)
        }
        Err(failure) => failure,
    }
}

/// Takes the file out of memory, and has the kernel ask this one for modules that it misses (`modules::on_demand`).
pub fn forget_first() {
    let Ok(program) = fs::read_link("/proc/self/exe") else { return };
    let _ = fs::remove_file(FIRST);
    let _ = fs::write("/proc/sys/kernel/modprobe", program.as_os_str().as_encoded_bytes());
}

/// The program on the disk, put there when it is another one than at the last start.
fn place(identity: &str) -> Result<PathBuf> {
    let folder = Path::new(disk::FOLDER).join("program");
    let program = folder.join(identity);
    if identity.is_empty() || identity.contains('/') {
        return Err(Failure::new("the host gave this program a name that is none"));
    }
    if !program.exists() {
        // The file system of a new disk may be smaller than the program.
        disk::grow();
        let copied = copy(&folder, &program);
        copied.trying(|| format!("cannot copy this program to {}", program.display())).inspect_err(|_| {
            // A full disk must not be made fuller.
            let _ = fs::remove_dir_all(&folder);
        })?;
    }
    Ok(program)
}

/// Complete when it has its name, also after a power cut.
fn copy(folder: &Path, program: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    let unfinished = folder.join("unfinished");
    fs::copy(FIRST, &unfinished)?;
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, program)
}

//! Other processes, this computer's memory and its randomness, on any Unix.

use crate::model::{Result, Trying};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs::File;
use std::io::Read;

/// Ends process `pid` at once; one that is gone is fine.
pub fn kill(pid: u32) {
    send(pid, Signal::SIGKILL);
}

/// Has process `pid` go on after it was stopped.
pub fn go_on(pid: u32) {
    send(pid, Signal::SIGCONT);
}

fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
    }
}

/// Memory of this computer.
pub fn memory_bytes() -> u64 {
    // SAFETY: plain numbers in and out.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).unwrap_or(0) * u64::try_from(page).unwrap_or(0)
}

/// Release of the running kernel (uname(2)).
pub fn kernel_release() -> String {
    nix::sys::utsname::uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Bytes nobody can guess (random(4)).
///
/// # Errors
/// The system has no `/dev/urandom`.
pub fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.trying(|| "cannot read /dev/urandom")?;
    Ok(bytes)
}

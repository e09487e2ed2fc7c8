//! The process of a machine of Virtualization.framework: this program, started by `birth` in QEMU's place. It lives as long
//! as the machine, and holds the same two locks as QEMU.

use crate::model::{Failure, Result};
use crate::sys::fs::hold_record_lock;
use crate::sys::macos::virtualization;
use crate::sys::virtualization::VirtualMachine;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the machine that the words name. What goes wrong is said on standard error, which is the machine's log.
pub fn main(words: &[OsString]) -> ExitCode {
    match run(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[OsString]) -> Result<()> {
    let [machine, pid_file] = words else { return Err(Failure::new("a machine and a pid file have to be named")) };
    let machine = VirtualMachine::read(Path::new(machine))?;
    let _held = hold_record_lock(Path::new(pid_file))?;
    virtualization::run(&machine)
}

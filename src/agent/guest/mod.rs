//! The guest of the managed VM: a kernel and this program. Process 1 is a small supervisor that blocks; the agent that
//! serves the host is its child, so that neither reaps the other's children and the agent may die without harm.

mod boot;
mod clock;
mod dhcp;
mod disk;
mod files;
mod idle;
mod modules;
mod network;
mod program;
mod report;
mod serve;
mod shutdown;
mod supervise;

pub use modules::on_demand as load_modules_on_demand;
pub use report::report;
pub use serve::main as serve;

use crate::model::Failure;
use crate::model::guest::{SEED_PATH, TROUBLE_PREFIX};
use crate::sys::linux::{power, signal};
use std::path::Path;
use std::process::ExitCode;

/// The word that makes this program the guest's agent.
pub const AGENT: &str = "__guest";

/// Whether this is a guest of ours.
pub fn is_guest() -> bool {
    Path::new(SEED_PATH).exists()
}

/// Whether this process is the first one of a guest of ours.
pub fn is_first_process() -> bool {
    std::process::id() == 1 && is_guest()
}

/// Boots the guest, and supervises it until it is switched off.
pub fn first_process() -> ExitCode {
    // They are taken one by one; threads and their mask come from here.
    signal::block_all();
    // The first half ends as the same program on the disk, which goes on with the second.
    let begun = if program::is_settled() { Ok(()) } else { boot::reach_disk().map(|failure| complain(&failure)) };
    match begun.and_then(|()| boot::boot()) {
        Ok(lease) => supervise::supervise(lease),
        Err(failure) => tell_trouble(&failure),
    }
    shutdown::shut_down();
    power::switch_off();
    // Process 1 must not end: where the power cannot be switched off, the host ends us.
    loop {
        signal::wait(None);
    }
}

/// Says on the console why the guest cannot go on; the host reads it there.
fn tell_trouble(failure: &Failure) {
    say(&format!("{TROUBLE_PREFIX}{}", failure.chain().join(": ").replace('\n', " ")));
}

/// Writes a line to the console, which is the standard output of process 1 and of the agent.
fn say(line: &str) {
    use std::io::Write;
    // One write, so that nothing of the kernel's comes in between.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Says what went wrong without being the end.
fn complain(failure: &Failure) {
    say(&format!("devenv-guest: {}", failure.chain().join(": ")));
}

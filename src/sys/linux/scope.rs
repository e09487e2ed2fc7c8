//! Going over into a scope of systemd's user manager (systemd-run(1), systemd.scope(5)).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes this program again, with its words, streams and environment, in a delegated scope of its own; the variable
/// `mark` is set then. Returns only when it cannot.
pub fn become_in_scope(mark: &str) -> io::Error {
    let program = match std::fs::read_link("/proc/self/exe") {
        Ok(program) => program,
        Err(error) => return error,
    };
    let options = ["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", "--"];
    let mut command = Command::new("systemd-run");
    command.args(options).arg(program).args(crate::sys::environment::arguments()).env(mark, "1").exec()
}

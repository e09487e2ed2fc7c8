//! Boxes live on Linux only, and so do the processes of this program inside them.

use crate::keeper;
use crate::machine::vm::{framework, framework_process};
use crate::sys::environment;
use std::process::ExitCode;

/// Goes through the door that the first word names; `None` when it names none.
pub fn door() -> Option<ExitCode> {
    let words = environment::arguments();
    match words.first()?.to_str()? {
        keeper::there::ENTRY => Some(keeper::there::main()),
        framework::ENTRY => Some(framework_process::main(&words[1..])),
        _ => None,
    }
}

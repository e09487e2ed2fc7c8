//! Boxes live on Linux only, and so do the processes of this program inside them.

use crate::keeper;
use crate::sys::environment;
use std::process::ExitCode;

/// Goes through the door that the first word names; `None` when it names none.
pub fn door() -> Option<ExitCode> {
    let words = environment::arguments();
    (words.first()?.to_str()? == keeper::there::ENTRY).then(keeper::there::main)
}

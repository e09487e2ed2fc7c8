//! Doors that nobody knocks at by hand: this program started by itself, for a keeper, a box, or a program in a box. They
//! come before everything else, since what they do must be done before a second thread exists.

use crate::engine::{birth, enter};
use crate::sys::environment;
use crate::{agent, cli, keeper};
use std::process::ExitCode;

/// Goes through the door that the first word names; `None` when it names none of these.
pub fn door() -> Option<ExitCode> {
    let words = environment::arguments();
    if agent::guest::is_first_process() {
        return Some(agent::guest::first_process());
    }
    match words.first()?.to_str()? {
        agent::stdio::ENTRY => Some(agent::stdio::main(&words[1..])),
        keeper::there::ENTRY => Some(keeper::there::main()),
        "__keeper" => Some(keeper::here::main()),
        agent::child::VERB => Some(agent::child::verb()),
        agent::child::ENTER => Some(agent::child::enter()),
        "__box" => Some(birth::main()),
        "__enter" => {
            let number = words.get(1)?.to_str()?.parse().ok()?;
            Some(cli::finish_entered(enter::main(number)))
        }
        agent::guest::AGENT => Some(agent::guest::serve()),
        // As the kernel starts what it takes for modprobe.
        "-q" if agent::guest::is_guest() => Some(agent::guest::load_modules_on_demand()),
        _ => None,
    }
}

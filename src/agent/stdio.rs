//! `devenv agent`: the far side on a remote host, spoken to over standard input and output.

use super::{programs, stream};
use crate::model::{Failure, Result};
use crate::sys::linux::{facts, pipe};
use crate::sys::pipe_inlet::PipeInlet;
use crate::sys::pipe_outlet::PipeOutlet;
use crate::sys::runtime;
use crate::sys::{mux, socket};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::net::unix::pipe::{Receiver, Sender};

/// The first word of the command line.
pub const ENTRY: &str = "agent";
/// The second, when it is only asked whether this program runs here.
const READY: &str = "--ready";

/// Serves until standard input ends.
pub fn main(words: &[OsString]) -> ExitCode {
    match words.first().map(|word| word.to_str()) {
        None => {}
        Some(Some(READY)) => return ExitCode::SUCCESS,
        Some(_) => {
            eprintln!("devenv agent: the other side of `--place ssh://…`; it is not meant for people");
            return ExitCode::from(2);
        }
    }
    facts::set_name(c"devenv-agent");
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("devenv agent: {}", failure.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (input, output) = pipe::take_input_and_output()?;
    socket::raise_descriptor_limit();
    let runtime = runtime::current_thread()?;
    runtime.block_on(async {
        tokio::task::spawn_blocking(programs::tidy);
        let streams = match pipe::is_pipe(&input) && pipe::is_pipe(&output) {
            true => PipeInlet::new(input, Vec::new())
                .and_then(|inlet| Ok(mux::accept_between(inlet, PipeOutlet::new(output)?))),
            // Some servers give a socket.
            false => Receiver::from_owned_fd_unchecked(input)
                .and_then(|input| Ok(mux::accept_over(input, Sender::from_owned_fd_unchecked(output)?))),
        };
        let mut streams = streams.map_err(not_by_hand)?;
        while let Some(accepted) = streams.accept().await {
            tokio::spawn(stream::serve(Box::new(accepted), None));
        }
        Ok(())
    })
}

fn not_by_hand(error: std::io::Error) -> Failure {
    Failure::because("standard input and output are not those of an SSH session", error)
}

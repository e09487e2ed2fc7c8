//! Standard streams of a program that shall have no terminal, where ours are one.

use super::pipe;
use crate::model::{Result, Trying};
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

/// Pipes in place of those standard streams that are terminals; the others are handed on as they are.
#[derive(Default)]
pub struct Streams {
    /// The program's end and ours, for each of standard input, output and error.
    input: Option<(OwnedFd, OwnedFd)>,
    output: Option<(OwnedFd, OwnedFd)>,
    error: Option<(OwnedFd, OwnedFd)>,
}

/// Output on its way.
pub struct Passing(Vec<JoinHandle<()>>);

impl Streams {
    /// Makes the pipes that are needed.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn apart_from_terminals() -> Result<Streams> {
        let reading = |terminal: bool| terminal.then(pipe::new).transpose();
        let writing = |terminal: bool| reading(terminal).map(|ends| ends.map(|(read, write)| (write, read)));
        Ok(Streams {
            input: reading(std::io::stdin().is_terminal())?,
            output: writing(std::io::stdout().is_terminal())?,
            error: writing(std::io::stderr().is_terminal())?,
        })
    }

    /// In the program's process: makes the pipes its standard streams.
    ///
    /// # Errors
    /// As dup2(2).
    pub fn take(&self) -> Result<()> {
        let taken = (|| {
            if let Some((end, _)) = &self.input {
                nix::unistd::dup2_stdin(end)?;
            }
            if let Some((end, _)) = &self.output {
                nix::unistd::dup2_stdout(end)?;
            }
            if let Some((end, _)) = &self.error {
                nix::unistd::dup2_stderr(end)?;
            }
            nix::Result::Ok(())
        })();
        taken.trying(|| "cannot set up the standard streams")
    }

    /// In our process: passes on what comes, in threads of its own.
    pub fn pass(self) -> Passing {
        if let Some((end, ours)) = self.input {
            drop(end);
            // Not waited for: it sits in a read of the terminal until this process ends.
            std::thread::spawn(move || copy(std::io::stdin().lock(), File::from(ours)));
        }
        let mut passing = Vec::new();
        if let Some((end, ours)) = self.output {
            drop(end);
            passing.push(std::thread::spawn(move || copy(File::from(ours), std::io::stdout())));
        }
        if let Some((end, ours)) = self.error {
            drop(end);
            passing.push(std::thread::spawn(move || copy(File::from(ours), std::io::stderr())));
        }
        Passing(passing)
    }
}

impl Passing {
    /// Waits until all that was written is passed on.
    pub fn finish(self) {
        for thread in self.0 {
            let _ = thread.join();
        }
    }
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

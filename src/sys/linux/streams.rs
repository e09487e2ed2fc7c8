//! Standard streams of a program that shall have no terminal, where ours are one; and waiting for its end.

use super::pidfd::Process;
use super::{pipe, signal};
use crate::model::{Result, Trying};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};

/// Pipes in place of those standard streams that are terminals; the others are handed on as they are.
#[derive(Default)]
pub struct Streams {
    /// The program's ends, by the number they take there.
    theirs: Vec<(i32, OwnedFd)>,
    flows: Vec<Flow>,
}

/// Bytes on their way from one descriptor to another.
struct Flow {
    from: OwnedFd,
    to: OwnedFd,
    /// Read and not yet written.
    held: Vec<u8>,
    open: bool,
}

impl Streams {
    /// Makes the pipes that are needed.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn apart_from_terminals() -> Result<Streams> {
        let mut streams = Streams::default();
        let own = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().trying(|| "no descriptors are left");
        if std::io::stdin().is_terminal() {
            let (read, write) = pipe::new()?;
            streams.theirs.push((libc::STDIN_FILENO, read));
            streams.flows.push(Flow::new(own(&std::io::stdin())?, write));
        }
        if std::io::stdout().is_terminal() {
            let (read, write) = pipe::new()?;
            streams.theirs.push((libc::STDOUT_FILENO, write));
            streams.flows.push(Flow::new(read, own(&std::io::stdout())?));
        }
        if std::io::stderr().is_terminal() {
            let (read, write) = pipe::new()?;
            streams.theirs.push((libc::STDERR_FILENO, write));
            streams.flows.push(Flow::new(read, own(&std::io::stderr())?));
        }
        Ok(streams)
    }

    /// In the program's process: makes the pipes its standard streams.
    ///
    /// # Errors
    /// As dup2(2).
    pub fn take(&self) -> Result<()> {
        let taken = self.theirs.iter().try_for_each(|(number, end)| match *number {
            libc::STDIN_FILENO => nix::unistd::dup2_stdin(end),
            libc::STDOUT_FILENO => nix::unistd::dup2_stdout(end),
            _ => nix::unistd::dup2_stderr(end),
        });
        taken.trying(|| "cannot set up the standard streams")
    }

    /// In our process: waits for the end of `process`, passing on what comes by the pipes, and signals, since it leads
    /// a session of its own and the terminal's keys reach only us. In one thread: a process that entered a pid
    /// namespace can make no further one (setns(2)).
    ///
    /// # Errors
    /// Signals cannot be waited for.
    pub fn relay(mut self, process: &Process) -> Result<()> {
        self.theirs.clear();
        let wanted =
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
        let set: SigSet = wanted.into_iter().chain([Signal::SIGTSTP]).collect();
        set.thread_block().trying(|| "cannot block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).trying(|| "cannot wait for signals")?;
        loop {
            let (ended, moved) = self.wait(process, &signals);
            while let Ok(Some(found)) = signals.read_signal() {
                pass_on(found.ssi_signo as i32, process);
            }
            // What was written before the end is still in the pipes.
            if ended && !moved {
                return Ok(());
            }
        }
    }

    /// Waits for something to happen: whether the process ended, and whether bytes moved.
    fn wait(&mut self, process: &Process, signals: &SignalFd) -> (bool, bool) {
        let mut places =
            vec![PollFd::new(process.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        places.extend(self.flows.iter().map(Flow::place));
        if poll(&mut places, PollTimeout::NONE).is_err() {
            return (false, true);
        }
        let ready: Vec<bool> = places.iter().map(|place| place.any().unwrap_or(false)).collect();
        let mut moved = false;
        for (flow, _) in self.flows.iter_mut().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            moved |= flow.step();
        }
        // Dropped with its descriptors, so that the other side sees the end.
        self.flows.retain(|flow| flow.open);
        (ready[0], moved)
    }
}

impl Flow {
    fn new(from: OwnedFd, to: OwnedFd) -> Flow {
        Flow { from, to, held: Vec::new(), open: true }
    }

    fn place(&self) -> PollFd<'_> {
        match self.held.is_empty() {
            true => PollFd::new(self.from.as_fd(), PollFlags::POLLIN),
            false => PollFd::new(self.to.as_fd(), PollFlags::POLLOUT),
        }
    }

    /// Reads or writes once; false when the flow has ended.
    fn step(&mut self) -> bool {
        self.open = match self.held.is_empty() {
            true => {
                // PIPE_BUF: so much can be written without blocking once a pipe has room (pipe(7)).
                let mut buffer = [0; 4096];
                let count = nix::unistd::read(&self.from, &mut buffer).unwrap_or(0);
                self.held.extend_from_slice(&buffer[..count]);
                count > 0
            }
            false => match nix::unistd::write(&self.to, &self.held) {
                Ok(count) => {
                    self.held.drain(..count);
                    true
                }
                Err(_) => false,
            },
        };
        self.open
    }
}

/// A stop key stops the program and then us, and both go on together.
fn pass_on(number: i32, process: &Process) {
    if number != libc::SIGTSTP {
        return process.signal(number);
    }
    process.signal(libc::SIGSTOP);
    signal::stop_self();
    process.signal(libc::SIGCONT);
}

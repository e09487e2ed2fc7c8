//! Terminals: a pseudo-terminal of the box, and passing the user's terminal on to it (pty(7)).

use super::pidfd::Process;
use crate::model::{Failure, Result, Trying};
use crate::sys::terminal::Raw;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, posix_openpt, unlockpt};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The two ends of a pseudo-terminal.
pub struct Pair {
    pub controller: OwnedFd,
    pub terminal: OwnedFd,
}

/// Opens a pseudo-terminal from this mount namespace's `/dev/ptmx`, with the size of the user's terminal.
///
/// # Errors
/// The box has no devpts, or no terminals are left.
pub fn open() -> Result<Pair> {
    let opened = (|| {
        let controller = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        unlockpt(&controller)?;
        // The peer by ioctl and not by path: a path could be anything the box put there.
        // SAFETY: the ioctl takes open flags and returns a new descriptor or -1.
        let terminal = unsafe {
            libc::ioctl(controller.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)
        };
        Errno::result(terminal)?;
        // SAFETY: the kernel just gave us this descriptor.
        let terminal = unsafe { OwnedFd::from_raw_fd(terminal) };
        Ok::<_, Errno>(Pair { controller: controller.into(), terminal })
    })();
    let pair = opened.trying(|| "cannot open a terminal in the box")?;
    copy_size(&pair.controller);
    Ok(pair)
}

/// Makes `terminal` the controlling terminal and the standard streams of this process, which leads a new session.
///
/// # Errors
/// As ioctl_tty(2), TIOCSCTTY.
pub fn take_as_own(terminal: &OwnedFd) -> Result<()> {
    // SAFETY: plain numbers; the descriptor is open.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).trying(|| "cannot take the box's terminal")?;
    let taken = nix::unistd::dup2_stdin(terminal)
        .and_then(|()| nix::unistd::dup2_stdout(terminal))
        .and_then(|()| nix::unistd::dup2_stderr(terminal));
    taken.trying(|| "cannot take the box's terminal")
}

/// Has the program that `command` starts lead a session whose terminal is its standard input: when the other end of
/// that terminal is closed, it is told by SIGHUP.
pub fn lead_session_on_standard_input(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only setsid and ioctl are called, both async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let led = libc::setsid() >= 0 && libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) == 0;
            if led { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
}

/// Makes `uid` the owner of `terminal`, as login(1) would. Where its id is not mapped nothing changes.
pub fn give_to(terminal: &OwnedFd, uid: u32) {
    let _ = nix::unistd::fchown(terminal, Some(nix::unistd::Uid::from_raw(uid)), None);
}

/// Sets the size of the terminal, in characters.
pub fn set_size(controller: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the ioctl reads one winsize, which outlives it.
    unsafe { libc::ioctl(controller.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

fn copy_size(controller: impl AsFd) {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both ioctls read or write one winsize, which outlives them.
    unsafe {
        if libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0 {
            libc::ioctl(controller.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
        }
    }
}

/// Passes standard input to the box's terminal and its output to standard output until `process` ends, in raw mode,
/// forwarding changes of the window's size. SIGTERM and SIGHUP reach the process.
///
/// # Errors
/// The terminal cannot be read or polled.
pub fn relay(controller: OwnedFd, process: &Process) -> Result<()> {
    let signals = [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let set: SigSet = signals.into_iter().collect();
    set.thread_block().trying(|| "cannot block signals")?;
    let changes = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .trying(|| "cannot wait for signals")?;
    let _raw = Raw::enter();
    // The size may have changed since the terminal was opened.
    copy_size(&controller);
    fcntl(&controller, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR)).trying(|| "cannot set up the terminal")?;
    Relay { controller: controller.into(), typed: Vec::new(), input_open: true, output_open: true }
        .run(process, &changes)
}

struct Relay {
    controller: File,
    /// Typed and not yet taken by the box.
    typed: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    fn run(&mut self, process: &Process, changes: &SignalFd) -> Result<()> {
        loop {
            let (input, output, ended, signalled) = self.wait(process, changes)?;
            if signalled {
                while let Ok(Some(signal)) = changes.read_signal() {
                    match signal.ssi_signo as i32 {
                        libc::SIGWINCH => copy_size(&self.controller),
                        number => process.signal(number),
                    }
                }
            }
            if output {
                self.show();
            }
            if input {
                self.read_typed();
            }
            self.pass_typed();
            if ended {
                // What was written before the end is still in the terminal.
                while self.output_open && self.show() {}
                return Ok(());
            }
        }
    }

    fn wait(&self, process: &Process, changes: &SignalFd) -> Result<(bool, bool, bool, bool)> {
        let stdin = std::io::stdin();
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, self.output_open);
        wanted.set(PollFlags::POLLOUT, !self.typed.is_empty());
        let read_input = self.input_open && self.typed.is_empty();
        let mut places =
            vec![PollFd::new(process.as_fd(), PollFlags::POLLIN), PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
        let controller_at = (!wanted.is_empty()).then(|| {
            places.push(PollFd::new(self.controller.as_fd(), wanted));
            places.len() - 1
        });
        let input_at = read_input.then(|| {
            places.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            places.len() - 1
        });
        match poll(&mut places, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Failure::because("cannot wait for the terminal", error)),
        }
        let ready = |at: usize| places[at].revents().is_some_and(|found| !found.is_empty());
        Ok((input_at.is_some_and(ready), controller_at.is_some_and(ready), ready(0), ready(1)))
    }

    /// Shows what the box wrote; false when there is nothing more now.
    fn show(&mut self) -> bool {
        let mut buffer = [0; 16384];
        match self.controller.read(&mut buffer) {
            Ok(0) => self.output_open = false,
            Ok(count) => {
                let mut stdout = std::io::stdout();
                if stdout.write_all(&buffer[..count]).and_then(|()| stdout.flush()).is_err() {
                    self.output_open = false;
                }
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return true,
            // EIO: nobody has the terminal open any more.
            Err(_) => self.output_open = false,
        }
        false
    }

    fn read_typed(&mut self) {
        let mut buffer = [0; 4096];
        match nix::unistd::read(std::io::stdin(), &mut buffer) {
            Ok(0) => self.input_open = false,
            Ok(count) => self.typed.extend_from_slice(&buffer[..count]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.input_open = false,
        }
    }

    fn pass_typed(&mut self) {
        while !self.typed.is_empty() {
            match self.controller.write(&self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.typed.clear(),
            }
        }
    }
}

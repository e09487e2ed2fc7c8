//! Starting further copies of this program with descriptors handed over.

use crate::model::{Result, Trying};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs the program behind `program` with `arguments`; `descriptors` arrive as 3, 4, 5, … Standard input is empty, the
/// outputs are ours.
///
/// # Errors
/// As execve(2).
pub fn with_descriptors(program: &OwnedFd, arguments: &[&str], descriptors: Vec<OwnedFd>) -> Result<Child> {
    start(program, arguments, descriptors, FIRST, Stdio::null())
}

/// As [`with_descriptors`], but standard input is ours as well, and the descriptors arrive from `first` on: those from
/// 3 up to it are handed over as they are.
///
/// # Errors
/// As execve(2).
pub fn with_descriptors_from(
    first: RawFd,
    program: &OwnedFd,
    arguments: &[&str],
    descriptors: Vec<OwnedFd>,
) -> Result<Child> {
    start(program, arguments, descriptors, first, Stdio::inherit())
}

/// The first number behind the standard streams.
const FIRST: RawFd = 3;

fn start(
    program: &OwnedFd,
    arguments: &[&str],
    descriptors: Vec<OwnedFd>,
    first: RawFd,
    input: Stdio,
) -> Result<Child> {
    let placement = Placement::of(&descriptors, Some(program), first);
    let mut command = Command::new(placement.program_path());
    // The user's environment holds secrets, and the child is about to live among strangers.
    command.args(arguments).arg0("devenv").env_clear().stdin(input);
    placement.apply_to(&mut command);
    let child = command.spawn().trying(|| "cannot run this program again");
    drop(descriptors);
    child
}

/// Where descriptors have to go in a child: `first` and the numbers behind it, in two rounds, as one may stand where another has to go.
pub(super) struct Placement {
    first: RawFd,
    numbers: Vec<RawFd>,
    program: Option<RawFd>,
    /// Nothing of the list is at this number or above it.
    free: RawFd,
}

impl Placement {
    pub(super) fn of(descriptors: &[OwnedFd], program: Option<&OwnedFd>, first: RawFd) -> Placement {
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let program = program.map(AsRawFd::as_raw_fd);
        let taken = numbers.iter().chain(&program).copied().max().unwrap_or(0);
        let free = taken.max(first + numbers.len() as RawFd) + 1;
        Placement { first, numbers, program, free }
    }

    /// The program's path in the child, where its descriptor moved out of the way.
    fn program_path(&self) -> std::path::PathBuf {
        format!("/proc/self/fd/{}", self.free + self.numbers.len() as RawFd).into()
    }

    pub(super) fn apply_to(self, command: &mut Command) {
        // SAFETY: only async-signal-safe calls, on lists made before the fork.
        unsafe {
            command.pre_exec(move || self.place());
        }
    }

    fn place(&self) -> std::io::Result<()> {
        for (offset, number) in self.numbers.iter().chain(&self.program).enumerate() {
            // SAFETY: duplicates descriptors of this process, which is about to be replaced.
            if unsafe { libc::dup3(*number, self.free + offset as RawFd, libc::O_CLOEXEC) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        for offset in 0..self.numbers.len() as RawFd {
            // SAFETY: as above; dup2 clears close-on-exec.
            if unsafe { libc::dup2(self.free + offset, self.first + offset) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Takes descriptor `number`, which the program that started us put there, to be closed at the next execve.
pub fn inherited(number: RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the caller started with this descriptor open and takes each number once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let _ = nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    descriptor
}

/// Becomes `program` with these words, keeping the standard streams, and of the environment only `kept`. Returns only
/// when it cannot.
pub fn become_program(program: &Path, arguments: &[&str], kept: &[&str]) -> std::io::Error {
    let kept = kept.iter().filter_map(|name| Some((name, crate::sys::environment::variable(name)?)));
    Command::new(program).args(arguments).arg0("devenv").env_clear().envs(kept).exec()
}

/// As [`with_descriptors`], and hands each line it writes to `heard`. Gives its exit code.
///
/// # Errors
/// It cannot be executed.
pub fn lines_of(
    program: &Path,
    arguments: &[&str],
    descriptors: Vec<OwnedFd>,
    heard: &mut dyn FnMut(&str),
) -> Result<i32> {
    use std::io::{BufRead, BufReader};
    let (read, write) = super::pipe::new()?;
    let placement = Placement::of(&descriptors, None, FIRST);
    let error_write = write.try_clone().trying(|| "no descriptors are left")?;
    let mut command = Command::new(program);
    command.args(arguments).arg0("devenv").env_clear().stdin(Stdio::null()).stdout(write).stderr(error_write);
    placement.apply_to(&mut command);
    let mut child = command.spawn().trying(|| format!("cannot run {}", program.display()))?;
    drop((command, descriptors));
    for line in BufReader::new(std::fs::File::from(read)).split(b'\n') {
        heard(String::from_utf8_lossy(&line.trying(|| "cannot read what it writes")?).trim_end());
    }
    let status = child.wait().trying(|| "cannot wait for it")?;
    Ok(status.code().unwrap_or_else(|| 128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)))
}

/// Runs this program again with these words and this environment, on our own standard streams. Gives its number; whoever
/// reaps all children hears of its end.
///
/// # Errors
/// As execve(2).
pub fn again(arguments: &[&str], environment: &[(&str, &str)]) -> Result<i32> {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).arg0("devenv").env_clear().envs(environment.iter().copied()).current_dir("/");
    // Dropping a `Child` neither ends it nor waits for it.
    let child = command.spawn().trying(|| "cannot run this program again")?;
    Ok(child.id() as i32)
}

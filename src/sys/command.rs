//! Running another program and keeping what it says.

use crate::model::{Failure, Result, Trying};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program that has ended left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub output: Vec<u8>,
    /// Standard error, as far as it is text.
    pub complaint: String,
}

/// A program with everything it gets; nothing is looked up and nothing inherited.
pub struct Exactly<'a> {
    pub path: &'a std::path::Path,
    /// The first word is the program's own name.
    pub arguments: &'a [String],
    /// `NAME=VALUE` each.
    pub environment: &'a [String],
    pub input: &'a [u8],
}

/// Runs it and waits for its end. `None` for `limit` waits as long as it takes.
///
/// # Errors
/// It cannot be started, or does not end within `limit` and is killed.
pub fn run_exactly(wanted: &Exactly<'_>, limit: Option<Duration>) -> Result<Finished> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(wanted.path);
    if let Some((name, rest)) = wanted.arguments.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear();
    command.envs(wanted.environment.iter().filter_map(|entry| entry.split_once('=')));
    finish(command, &wanted.path.display().to_string(), wanted.input, limit.unwrap_or(Duration::MAX))
}

/// Runs `program` (looked for in `PATH`) with `input` on its standard input, and waits for its end.
///
/// # Errors
/// It cannot be started, or does not end within `limit` and is killed.
pub fn run(program: &str, arguments: &[&str], input: &[u8], limit: Duration) -> Result<Finished> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(command, program, input, limit)
}

fn finish(mut command: Command, program: &str, input: &[u8], limit: Duration) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .trying(|| format!("cannot run {program}"))?;
    let mut stdin = child.stdin.take().expect("asked for as a pipe");
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // A program that does not read its input closes the pipe: no failure of ours.
        scope.spawn(move || drop(stdin.write_all(input)));
        let output = scope.spawn(move || read_all(stdout));
        let complaint = scope.spawn(move || read_all(stderr));
        let status = wait(&mut child, limit).trying(|| format!("cannot wait for {program}"))?;
        let status =
            status.ok_or_else(|| Failure::new(format!("{program} did not answer within {} s", limit.as_secs())))?;
        let output = output.join().unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint.join().unwrap_or_default()).trim().to_owned();
        Ok(Finished { status, output, complaint })
    })
}

/// Runs `program` (looked for in `PATH`) on the user's terminal: it may ask, and says what it has to say itself, on
/// standard error.
///
/// # Errors
/// It cannot be started.
pub fn attended(program: &str, arguments: &[&str]) -> Result<ExitStatus> {
    // Standard output is for our own data.
    let mut command = Command::new(program);
    command.args(arguments).stdout(std::io::stderr());
    command.status().trying(|| format!("cannot run {program}"))
}

fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What was read before an error is what there is.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// The status of `child`, or `None` after killing it because `limit` passed.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

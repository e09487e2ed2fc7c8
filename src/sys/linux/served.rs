//! Starting this program again for a job that others watch: its request in descriptor 3; in descriptor 4 it reports, and
//! hears the answers to what it asks.

use super::nonblocking::Nonblocking;
use super::pidfd::Process;
use super::spawn::{Placement, inherited};
use super::{pipe, pty};
use crate::model::{Failure, Result, Trying};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use tokio::process::Child;

/// Where the child finds its request.
const REQUEST: i32 = 3;
/// Where the child writes its report, and reads what it is answered.
const REPORT: i32 = 4;
/// As much of what a child said is worth telling.
const COMPLAINT_BYTES: u64 = 4096;

/// The standard streams of a job.
pub enum Streams {
    /// Nothing comes in; what comes out is kept.
    Kept,
    Pipes,
    /// A terminal of this size: rows, columns.
    Terminal(u16, u16),
}

/// A job that runs.
pub struct Job {
    pub child: Child,
    pub process: Process,
    pub report: Nonblocking,
    /// What is written here it may read: a second descriptor of `report`.
    pub answers: Nonblocking,
    /// Writes to its standard input: a pipe, or the terminal.
    pub input: Option<Nonblocking>,
    /// Its standard output and error, or the terminal.
    pub outputs: Vec<Nonblocking>,
    said: Option<File>,
}

/// Starts `devenv WORD` with `document` as its request, and these variables besides our own.
///
/// # Errors
/// No process, terminal or descriptor can be had.
pub fn start(word: &str, document: &[u8], streams: &Streams, environment: &[(String, String)]) -> Result<Job> {
    let request = pipe::memory("request", document)?;
    let (report, own_end) = UnixStream::pair().trying(|| "no descriptors are left")?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(word).envs(environment.iter().map(|(name, value)| (name, value)));
    let handed = [request, own_end.into()];
    Placement::of(&handed, None, REQUEST).apply_to(&mut command);
    let ends = Ends::of(streams)?;
    command.stdin(ends.stdin).stdout(ends.stdout).stderr(ends.stderr);
    if let Streams::Terminal(..) = streams {
        pty::lead_session_on_standard_input(&mut command);
    }
    let spawned = tokio::process::Command::from(command).spawn();
    let mut child = spawned.trying(|| "cannot run this program again")?;
    drop(handed);
    let process = child.id().ok_or_else(|| Failure::new("a process ended at once")).and_then(Process::open);
    let process = match process {
        Ok(process) => process,
        Err(failure) => {
            let _ = child.start_kill();
            return Err(failure);
        }
    };
    let answers = Nonblocking::new(report.try_clone().trying(|| "no descriptors are left")?.into())?;
    let report = Nonblocking::new(report.into())?;
    Ok(Job { child, process, report, answers, input: ends.input, outputs: ends.outputs, said: ends.said })
}

/// Both sides of the standard streams.
struct Ends {
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    input: Option<Nonblocking>,
    outputs: Vec<Nonblocking>,
    said: Option<File>,
}

impl Ends {
    fn of(streams: &Streams) -> Result<Ends> {
        let copy = |fd: &OwnedFd| fd.as_fd().try_clone_to_owned().trying(|| "no descriptors are left");
        match streams {
            Streams::Kept => {
                // A file and no pipe: what this job starts may outlive it, and would hold a pipe open.
                let said = pipe::memory("said", b"")?;
                let (stdout, stderr) = (copy(&said)?.into(), copy(&said)?.into());
                let said = Some(File::from(said));
                Ok(Ends { stdin: Stdio::null(), stdout, stderr, input: None, outputs: Vec::new(), said })
            }
            Streams::Pipes => {
                let ((stdin, input), (out, stdout), (err, stderr)) = (pipe::new()?, pipe::new()?, pipe::new()?);
                let outputs = vec![Nonblocking::new(out)?, Nonblocking::new(err)?];
                let (stdin, stdout, stderr) = (stdin.into(), stdout.into(), stderr.into());
                Ok(Ends { stdin, stdout, stderr, input: Some(Nonblocking::new(input)?), outputs, said: None })
            }
            Streams::Terminal(rows, columns) => {
                let pair = pty::open()?;
                pty::set_size(&pair.controller, *rows, *columns);
                let (stdout, stderr) = (copy(&pair.terminal)?.into(), copy(&pair.terminal)?.into());
                let outputs = vec![Nonblocking::new(copy(&pair.controller)?)?];
                let input = Some(Nonblocking::new(pair.controller)?);
                Ok(Ends { stdin: pair.terminal.into(), stdout, stderr, input, outputs, said: None })
            }
        }
    }
}

impl Job {
    /// The end of what it wrote to its standard streams, where they were kept.
    pub fn last_words(&mut self) -> String {
        let Some(said) = &mut self.said else { return String::new() };
        let length = said.metadata().map_or(0, |facts| facts.len());
        let mut words = Vec::new();
        let read = said.seek(SeekFrom::Start(length.saturating_sub(COMPLAINT_BYTES)));
        let _ = read.and_then(|_| said.read_to_end(&mut words));
        String::from_utf8_lossy(&words).trim().to_owned()
    }
}

/// In the job: its request.
///
/// # Errors
/// There is none.
pub fn request() -> Result<Vec<u8>> {
    let mut file = File::from(inherited(REQUEST));
    let mut content = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut content)).trying(|| "cannot read the request")?;
    Ok(content)
}

/// In the job: where its report goes. Programs that it becomes or starts do not have it.
pub fn report() -> File {
    File::from(inherited(REPORT))
}

//! One session of the user's ssh, from its start until the agent runs over there.

use super::explain::{Ended, explain};
use super::program::Program;
use super::script::{self, Said};
use crate::model::{Events, Failure, Kind, RemoteHost, Result, Trying};
use crate::sys::child::{Attached, Complaint};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long a session may take until our script speaks: a chain of jump hosts and slow start files are within it.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The same over a connection that is there: no login, one message there and back.
pub const KEPT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a script that has what it needs may take.
const STEP_PATIENCE: Duration = Duration::from_secs(60);
/// What start files of a shell may print before it.
const MOST_BANNER_BYTES: u64 = 1 << 20;
/// How long ssh may take to end once it has said its last.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A session whose agent runs: what is read and written is between it and us.
pub struct Session {
    pub child: Child,
    pub input: ChildStdin,
    pub output: BufReader<ChildStdout>,
    pub complaint: Complaint,
    /// Digest of the program at the other end.
    pub hash: String,
}

/// Why there is no session.
pub enum Trouble {
    /// Nothing of ours was heard: it is between ssh, the host, and the account's shell.
    Ended(Ended),
    /// Nothing was heard for as long as that may take.
    Silent(Failure),
    Failed(Failure),
}

type Outcome<T> = std::result::Result<T, Trouble>;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl Trouble {
    pub fn into_failure(self, remote: &RemoteHost) -> Failure {
        match self {
            Trouble::Ended(ended) => explain(remote, &ended),
            Trouble::Silent(failure) | Trouble::Failed(failure) => failure,
        }
    }
}

/// A conversation with our script.
struct Dialogue<'a> {
    remote: &'a RemoteHost,
    session: Session,
    word: String,
    /// What came before the first line of ours.
    banner: String,
    heard: bool,
}

/// Starts ssh and has the agent run; `arguments` gives ssh's words for a command, and our script is to speak within
/// `patience`. A program that is not there yet is put there.
///
/// # Errors
/// See [`Trouble`].
pub async fn begin(
    remote: &RemoteHost,
    arguments: impl FnOnce(&str) -> Vec<String>,
    patience: Duration,
    programs: &[Program],
    events: &dyn Events,
) -> Outcome<Session> {
    let word = format!("devenv-{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish());
    let hashes: Vec<&str> = programs.iter().map(|program| &*program.hash).collect();
    let Attached { child, input, output, complaint } =
        Attached::start("ssh", &arguments(&script::command(&word, &hashes))).map_err(|failure| {
            let missing = failure.get_kind() == Kind::NotFound;
            if missing { failure.hint("install OpenSSH's client (openssh-client)") } else { failure }
        })?;
    let session = Session { child, input, output: BufReader::new(output), complaint, hash: String::new() };
    let mut dialogue = Dialogue { remote, session, word, banner: String::new(), heard: false };
    let first = dialogue.hear(patience).await?;
    dialogue.answer(first, programs, events).await?;
    Ok(dialogue.session)
}

impl Dialogue<'_> {
    async fn answer(&mut self, first: Said, programs: &[Program], events: &dyn Events) -> Outcome<()> {
        let (system, machine, has_gzip) = match first {
            Said::Runs { hash } => {
                self.session.hash = hash;
                return Ok(());
            }
            Said::Lacks { system, machine, has_gzip } => (system, machine, has_gzip),
            Said::Puts | Said::NoPlace { .. } => return Err(self.confused().into()),
        };
        let program = choose(self.remote, &system, &machine, programs)?;
        let content = program.content(has_gzip)?;
        let decoder = if has_gzip { "gzip -dc" } else { "cat" };
        events.step(format!("putting devenv on {} ({:.1} MB)", self.remote, content.len() as f64 / 1e6));
        self.say(&format!("{}\n", program.hash)).await?;
        loop {
            match self.hear(STEP_PATIENCE).await? {
                Said::Runs { hash } => {
                    self.session.hash = hash;
                    return Ok(());
                }
                Said::Puts => {
                    self.say(&format!("{} {decoder}\n", content.len())).await?;
                    let sent = self.session.input.write_all(&content).await;
                    sent.trying(|| format!("cannot put devenv on {}", self.remote))?;
                }
                Said::NoPlace { why } => {
                    let what = format!("found no place for devenv's program on {}", self.remote);
                    let hint = "it needs a folder of the account's own where programs may run and 30 MB are free; \
                                XDG_CACHE_HOME names another";
                    return Err(Failure::because(what, why).hint(hint).into());
                }
                Said::Lacks { .. } => return Err(self.confused().into()),
            }
        }
    }

    async fn say(&mut self, line: &str) -> Outcome<()> {
        match self.session.input.write_all(line.as_bytes()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended().await),
        }
    }

    /// The next line that is meant for us.
    async fn hear(&mut self, patience: Duration) -> Outcome<Said> {
        match timeout(patience, self.hear_line()).await {
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(self.ended().await),
            Err(_) => {
                let what = format!("{} does not answer within {} s", self.remote, patience.as_secs());
                let said = [self.session.complaint.text(), self.banner.clone()].join("\n");
                let failure = match said.trim() {
                    "" => Failure::new(what),
                    said => Failure::because(what, format!("it said: {said}")),
                };
                let failure = failure.hint("does a start file of the account's shell wait for something?");
                Err(if self.heard { Trouble::Failed(failure) } else { Trouble::Silent(failure) })
            }
        }
    }

    async fn hear_line(&mut self) -> Option<Said> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let room = MOST_BANNER_BYTES.saturating_sub(self.banner.len() as u64);
            let length = (&mut self.session.output).take(room).read_until(b'\n', &mut line).await.ok()?;
            if length == 0 {
                return None;
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(said) = Said::read(&text, &self.word) {
                self.heard = true;
                return Some(said);
            }
            self.banner.push_str(&text);
        }
    }

    /// ssh has said its last.
    async fn ended(&mut self) -> Trouble {
        let status = timeout(END_PATIENCE, self.session.child.wait()).await;
        let code = status.ok().and_then(std::result::Result::ok).and_then(|status| status.code());
        // It closes its output before it says why.
        let _ = timeout(END_PATIENCE, self.session.complaint.closed()).await;
        let complaint = self.session.complaint.text();
        if self.heard {
            let what = format!("the session on {} broke while devenv's program was put there", self.remote);
            return Trouble::Failed(Failure::because(what, format!("{} {}", complaint.trim(), self.banner.trim())));
        }
        Trouble::Ended(Ended { code, output: std::mem::take(&mut self.banner), complaint })
    }

    fn confused(&self) -> Failure {
        Failure::new(format!("{} answered something else than it was asked", self.remote))
    }
}

/// The program for a computer over there.
fn choose<'p>(remote: &RemoteHost, system: &str, machine: &str, programs: &'p [Program]) -> Result<&'p Program> {
    let found = programs.iter().find(|program| system == "Linux" && program.machine == machine);
    found.ok_or_else(|| {
        let ours: Vec<&str> = programs.iter().map(|program| &*program.machine).collect();
        let why = format!("it is {system} on {machine}; this devenv has its program for Linux on {}", ours.join(", "));
        let hint = if system == "Linux" {
            "use a devenv of that architecture, or a host of this one"
        } else {
            "boxes need a Linux kernel: choose a Linux host, or `--place vm` there"
        };
        Failure::because(format!("cannot run devenv on {remote}"), why).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_to_fit_the_computer() {
        let remote = RemoteHost { user: None, host: "h".into(), port: None };
        let file = std::env::current_exe().unwrap();
        let programs = [Program::in_file(&file, "x86_64").unwrap()];
        assert!(choose(&remote, "Linux", "x86_64", &programs).is_ok());
        let told = |system, machine| choose(&remote, system, machine, &programs).unwrap_err().chain().join(": ");
        let riscv =
            "cannot run devenv on ssh://h: it is Linux on riscv64; this devenv has its program for Linux on x86_64";
        assert_eq!(told("Linux", "riscv64"), riscv);
        assert!(told("Darwin", "x86_64").contains("it is Darwin on x86_64"));
    }
}

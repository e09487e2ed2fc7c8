//! A remote Linux host, through the system's own ssh: the user's configuration, keys, agent and jump hosts are ssh's
//! business.

mod explain;
mod program;
mod script;
mod session;
mod settings;

pub use program::Program;

use super::Line;
use crate::model::{Events, Failure, RemoteHost, Result, Trying};
use crate::sys::child::Complaint;
use crate::sys::stream::Stream;
use crate::sys::{command, fs, mux};
use explain::needs_a_person;
use futures_util::future::BoxFuture;
use session::{Session, Trouble};
use settings::{Settings, ask_arguments, master_arguments, session_arguments};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// `ssh -G` only reads files; a `Match exec` of the user's may take its time.
const ASK_PATIENCE: Duration = Duration::from_secs(20);
/// How long ssh may take to say why a connection broke.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a remote host is reached.
pub struct Access<'a> {
    /// A folder of ours, for nobody else: the sockets of connections for which somebody entered a password.
    pub sockets: &'a Path,
    /// Somebody sits at a terminal and may be asked what ssh asks.
    pub attended: bool,
    /// Our program, for each architecture we have it for.
    pub programs: &'a [Program],
    pub events: &'a dyn Events,
}

/// A connection to the agent on a remote host.
pub struct RemoteLine {
    opener: mux::Opener,
    remote: RemoteHost,
    complaint: Complaint,
    /// Ends when this is dropped.
    _child: Child,
}

/// Connects, and puts our program there if it is not. Where ssh wants to ask something, it asks at the terminal of an
/// attended caller; the connection made so is kept for later callers that are not attended.
///
/// # Errors
/// ssh cannot connect, the account has no shell that runs commands, there is no place for the program, or the computer
/// is of a kind we have no program for.
pub async fn connect(remote: &RemoteHost, access: &Access<'_>) -> Result<RemoteLine> {
    let (settings, defaults) = read_settings(remote).await?;
    let socket = control_socket(access.sockets, remote);
    let begin = async || {
        let control = socket.exists().then_some(&*socket);
        let arguments = |command: &str| session_arguments(remote, &settings, &defaults, control, command);
        session::begin(remote, arguments, access.programs, access.events).await
    };
    let begun = match begin().await {
        Err(Trouble::Ended(ended)) if access.attended && needs_a_person(&ended.complaint) => {
            let words = master_arguments(remote, &settings, &defaults, &socket);
            ask_with(remote, access.sockets, words).await?;
            begin().await
        }
        begun => begun,
    };
    let session = begun.map_err(|trouble| trouble.into_failure(remote))?;
    Ok(RemoteLine::over(session, remote.clone()))
}

/// Has ssh ask at this process's terminal what [`connect`] could not ask (a failure of kind `Unattended`), and keeps the
/// connection made so for it.
///
/// # Errors
/// ssh cannot connect; it has said why.
pub async fn ask(remote: &RemoteHost, sockets: &Path) -> Result<()> {
    let (settings, defaults) = read_settings(remote).await?;
    let words = master_arguments(remote, &settings, &defaults, &control_socket(sockets, remote));
    ask_with(remote, sockets, words).await
}

async fn ask_with(remote: &RemoteHost, sockets: &Path, words: Vec<String>) -> Result<()> {
    fs::make_folder(sockets)?;
    fs::make_private_folder(sockets)?;
    let asked = tokio::task::spawn_blocking(move || attended(&words));
    asked.await.unwrap_or_else(|_| Err(Failure::new("ssh was cut short"))).map_err(|failure| {
        let hint = failure.get_hint().unwrap_or("ssh has said why").to_owned();
        Failure::because(format!("cannot connect to {remote}"), failure).hint(hint)
    })
}

/// Has ssh ask at the terminal.
fn attended(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let status = command::attended("ssh", &words)?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("ssh ended with {status}"))) }
}

/// What ssh does for this host, and what it does without any configuration.
async fn read_settings(remote: &RemoteHost) -> Result<(Settings, Settings)> {
    let ask = |configured| {
        let words = ask_arguments(remote, configured);
        tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            command::run("ssh", &words, &[], ASK_PATIENCE)
        })
    };
    let (own, defaults) = tokio::join!(ask(true), ask(false));
    let finished =
        |joined: std::result::Result<_, _>| joined.unwrap_or_else(|_| Err(Failure::new("ssh was cut short")));
    let hint = |failure: Failure| failure.hint("install OpenSSH's client (openssh-client)");
    let (own, defaults) = (finished(own).map_err(hint)?, finished(defaults).map_err(hint)?);
    if !own.status.success() {
        let why = own.complaint;
        return Err(Failure::because(format!("ssh does not know how to reach {remote}"), why)
            .hint("its configuration is ~/.ssh/config and /etc/ssh/ssh_config"));
    }
    let read = |output: &[u8]| Settings::read(&String::from_utf8_lossy(output));
    Ok((read(&own.output), read(&defaults.output)))
}

/// Short, whatever the host's name: a unix socket's path has at most 107 bytes (unix(7)), of which ssh takes 17.
fn control_socket(folder: &Path, remote: &RemoteHost) -> PathBuf {
    let digest = Sha256::digest(remote.to_string());
    let name: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(name)
}

impl RemoteLine {
    fn over(session: Session, remote: RemoteHost) -> RemoteLine {
        let Session { child, input, output, complaint } = session;
        RemoteLine { opener: mux::open_over(output, input), remote, complaint, _child: child }
    }
}

impl Line for RemoteLine {
    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        let opened = self.opener.open().trying(|| format!("the connection to {} is lost", self.remote));
        Box::pin(std::future::ready(opened.map(|stream| Box::new(stream) as Stream)))
    }

    fn lost(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            let why = self.opener.over().await;
            // ssh closes its output before it says why.
            let _ = timeout(LAST_WORDS, self.complaint.closed()).await;
            match self.complaint.text().lines().map(str::trim).rfind(|line| !line.is_empty()) {
                Some(last) => last.to_owned(),
                None => why,
            }
        })
    }
}

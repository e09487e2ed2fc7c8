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
use crate::sys::pipe_inlet::PipeInlet;
use crate::sys::pipe_outlet::PipeOutlet;
use crate::sys::stream::Stream;
use crate::sys::{command, fs, mux, unix};
use explain::needs_a_person;
use futures_util::future::BoxFuture;
use session::{Session, Trouble};
use settings::{Control, Settings, ask_arguments, master_arguments, session_arguments};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// `ssh -G` only reads files; a `Match exec` of the user's may take its time.
const ASK_PATIENCE: Duration = Duration::from_secs(20);
/// How long ssh may take to say why a connection broke.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a remote host is reached.
pub struct Access<'a> {
    /// A folder of ours, for nobody else: the sockets of connections that are kept.
    pub sockets: &'a Path,
    /// Somebody sits at a terminal and may be asked what ssh asks.
    pub attended: bool,
    /// Gives our program, for each architecture we have it for.
    pub programs: Programs,
    pub events: &'a dyn Events,
}

/// Reads our programs: it takes a while, and is done beside other work.
pub type Programs = Arc<dyn Fn() -> Result<Vec<Program>> + Send + Sync>;

/// A connection to the agent on a remote host.
pub struct RemoteLine {
    opener: mux::Opener,
    remote: RemoteHost,
    complaint: Complaint,
    /// What our program at the other end was built for.
    machine: String,
    /// Ends when this is dropped.
    _child: Child,
}

/// Connects, and puts our program there if it is not. Where ssh wants to ask something, it asks at the terminal of an
/// attended caller. The connection is kept for later callers, and by itself for ten minutes after its last use.
///
/// # Errors
/// ssh cannot connect, the account has no shell that runs commands, there is no place for the program, or the computer
/// is of a kind we have no program for.
pub async fn connect(remote: &RemoteHost, access: &Access<'_>) -> Result<RemoteLine> {
    let programs = access.programs.clone();
    let programs = tokio::task::spawn_blocking(move || programs());
    let (known, programs) = tokio::join!(Known::read(remote, access.sockets), programs);
    let (known, programs) = (known?, programs.trying(|| "cannot read our program")??);
    if !known.keeps_its_own {
        make_sockets_folder(access.sockets)?;
    }
    let begin = async |patience| {
        let control = known.control();
        let arguments =
            |command: &str| session_arguments(remote, &known.settings, &known.defaults, control.as_ref(), command);
        session::begin(remote, arguments, patience, &programs, access.events).await
    };
    let is_kept = unix::connect(&known.socket).is_ok();
    let mut begun = begin(if is_kept { session::KEPT_PATIENCE } else { session::PATIENCE }).await;
    if is_kept && matches!(begun, Err(Trouble::Silent(_))) {
        // Its other end has gone without a word, as after a sleep: nobody shall wait for it again.
        fs::remove_file_if_exists(&known.socket)?;
        begun = begin(session::PATIENCE).await;
    }
    let begun = match begun {
        Err(Trouble::Ended(ended)) if access.attended && needs_a_person(&ended.complaint) => {
            let words = master_arguments(remote, &known.settings, &known.defaults, &known.socket);
            ask_with(remote, access.sockets, words).await?;
            begin(session::PATIENCE).await
        }
        begun => begun,
    };
    let session = begun.map_err(|trouble| trouble.into_failure(remote))?;
    let machine = programs.into_iter().find(|program| program.hash == session.hash);
    RemoteLine::over(session, remote.clone(), machine.map(|program| program.machine).unwrap_or_default())
}

/// Has ssh ask at this process's terminal what [`connect`] could not ask (a failure of kind `Unattended`), and keeps the
/// connection made so for it.
///
/// # Errors
/// ssh cannot connect; it has said why.
pub async fn ask(remote: &RemoteHost, sockets: &Path) -> Result<()> {
    let known = Known::read(remote, sockets).await?;
    let words = master_arguments(remote, &known.settings, &known.defaults, &known.socket);
    ask_with(remote, sockets, words).await
}

async fn ask_with(remote: &RemoteHost, sockets: &Path, words: Vec<String>) -> Result<()> {
    make_sockets_folder(sockets)?;
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

fn make_sockets_folder(sockets: &Path) -> Result<()> {
    fs::make_folder(sockets)?;
    fs::make_private_folder(sockets)
}

/// What is known of a host before it is connected to.
struct Known {
    settings: Settings,
    /// What ssh does without any configuration.
    defaults: Settings,
    /// Where the connection to it is kept.
    socket: PathBuf,
    /// The user's configuration keeps connections in its own way.
    keeps_its_own: bool,
}

impl Known {
    async fn read(remote: &RemoteHost, sockets: &Path) -> Result<Known> {
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
        let settings = read(&own.output);
        let socket = control_socket(sockets, remote, &own.output);
        let keeps_its_own = settings.keeps_connections();
        Ok(Known { settings, defaults: read(&defaults.output), socket, keeps_its_own })
    }

    fn control(&self) -> Option<Control<'_>> {
        // A connection for which somebody entered a password is used in any case.
        let made = !self.keeps_its_own || self.socket.exists();
        made.then_some(Control { socket: &self.socket, makes: !self.keeps_its_own })
    }
}

/// Short, whatever the host's name: a unix socket's path has at most 107 bytes (unix(7)), of which ssh takes 17. Another
/// one for each `configuration`: one that changed shall count at once.
fn control_socket(folder: &Path, remote: &RemoteHost, configuration: &[u8]) -> PathBuf {
    let digest = Sha256::new().chain_update(remote.to_string()).chain_update(configuration).finalize();
    let name: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(name)
}

impl RemoteLine {
    fn over(session: Session, remote: RemoteHost, machine: String) -> Result<RemoteLine> {
        let Session { child, input, output, complaint, .. } = session;
        let outlet = input.into_owned_fd().and_then(PipeOutlet::new).trying(|| "cannot write to ssh")?;
        let early = output.buffer().to_vec();
        let inlet = output.into_inner().into_owned_fd().and_then(|pipe| PipeInlet::new(pipe, early));
        let opener = mux::open_between(inlet.trying(|| "cannot read from ssh")?, outlet);
        Ok(RemoteLine { opener, remote, complaint, machine, _child: child })
    }

    /// What our program at the other end was built for, as `uname -m` says it.
    pub fn machine(&self) -> &str {
        &self.machine
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

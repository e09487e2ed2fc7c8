//! The keeper of a project elsewhere, as those who ask it see it.

use super::far::lost;
use super::line;
use super::site::Site;
use crate::model::event::Unheard;
use crate::model::far::{BUILD, LONGEST_DOCUMENT_BYTES, Request};
use crate::model::there::{ThereReply, ThereRequest, ThereStart};
use crate::model::{BoxName, Events, Failure, Kind, Place, PublishedPort, Result, Trying};
use crate::state::TherePaths;
use crate::sys::detached::{self, Detached};
use crate::sys::framed::{document, read_document, write_document};
use crate::sys::fs::{record_lock_holder, remove_file_if_exists};
use crate::sys::stream::Stream;
use crate::sys::{process, unix};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Seek, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The first word of a keeper's command line.
pub const ENTRY: &str = "__keeper-there";

/// How long it may take to say who it is, which needs no work.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to end.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks whether one that was killed has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// A connection to a keeper.
pub struct Keeper {
    stream: UnixStream,
}

/// Who a keeper is.
pub struct Hello {
    pub build: String,
    pub pid: u32,
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
}

impl Hello {
    /// Whether it was started by this very program: others may speak differently.
    pub fn is_of_this_build(&self) -> bool {
        self.build == build()
    }
}

impl Keeper {
    /// The keeper that listens at `socket`; `None` when nobody does.
    ///
    /// # Errors
    /// The socket is there and may not be used.
    pub async fn connect(socket: &Path) -> Result<Option<Keeper>> {
        let connected = unix::connect(socket).and_then(|stream| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        });
        match connected {
            Ok(stream) => Ok(Some(Keeper { stream })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(Failure::because(format!("cannot connect to the keeper at {}", socket.display()), error)),
        }
    }

    /// Who listens at `socket`; `None` when nobody answers.
    pub async fn find(socket: &Path) -> Option<Hello> {
        Keeper::connect(socket).await.ok().flatten()?.hello().await.ok()
    }

    /// The project's keeper: the one that runs, or a new one. One of another build gives way. Where it cannot connect
    /// without asking somebody, whoever sits at this terminal is asked.
    ///
    /// # Errors
    /// It cannot be started, or nobody's answer was right.
    pub async fn ensure(site: &Site<'_>) -> Result<Keeper> {
        let keeper = Keeper::find_or_start(site).await?;
        let reach = site.elsewhere.reach();
        if reach.attended && matches!(reach.place, Place::Ssh(_)) {
            let hello = document(&Request::Hello).trying(|| "cannot ask the far side")?;
            let tried = Keeper::stream(&site.paths.keeper_socket(), &hello).await;
            if tried.is_err_and(|failure| failure.get_kind() == Kind::Unattended) {
                line::ask(&reach).await?;
            }
        }
        Ok(keeper)
    }

    async fn find_or_start(site: &Site<'_>) -> Result<Keeper> {
        let socket = site.paths.keeper_socket();
        if let Some(mut found) = Keeper::connect(&socket).await? {
            match found.hello().await {
                Ok(hello) if hello.is_of_this_build() => return Ok(found),
                Ok(_) => drop(found.quit().await),
                // It is dying, or as good as dead: `spawn` ends it.
                Err(_) => {}
            }
        }
        spawn(site)?;
        let started = Keeper::connect(&socket).await?;
        let mut keeper = started.ok_or_else(|| Failure::new("the keeper does not listen"))?;
        let log = site.paths.keeper_log();
        keeper.hello().await.map_err(|failure| failure.hint(format!("its log is {}", log.display())))?;
        Ok(keeper)
    }

    /// Who it is.
    ///
    /// # Errors
    /// It does not answer within 10 s.
    pub async fn hello(&mut self) -> Result<Hello> {
        let asked = tokio::time::timeout(HELLO_PATIENCE, self.ask(&ThereRequest::Hello, &Unheard));
        match asked.await.trying(|| "the keeper does not answer")?? {
            ThereReply::Hello { build, pid, ports } => Ok(Hello { build, pid, ports }),
            other => Err(unexpected(other)),
        }
    }

    /// Asks, and gives the answer. Progress goes to `events`.
    ///
    /// # Errors
    /// It could not do what was asked, or does not answer.
    pub async fn ask(&mut self, request: &ThereRequest, events: &dyn Events) -> Result<ThereReply> {
        write_document(&mut self.stream, request).await.trying(|| "cannot ask the keeper")?;
        loop {
            let reply = read_document(&mut self.stream, LONGEST_DOCUMENT_BYTES).await;
            match reply.trying(|| "the keeper does not answer")? {
                ThereReply::Tell { event } => events.send(event),
                failed @ ThereReply::Failed(_) => return Err(unexpected(failed)),
                reply => return Ok(reply),
            }
        }
    }

    /// A stream to the far side by way of the keeper that listens at `socket`, with `first` written on it already.
    ///
    /// # Errors
    /// There is no keeper, or it has no connection.
    pub async fn stream(socket: &Path, first: &[u8]) -> Result<Stream> {
        let gone = || Failure::new("the project's keeper has gone").hint("`devenv up` brings it back");
        let mut keeper = Keeper::connect(socket).await?.ok_or_else(gone)?;
        // In one piece: the keeper passes on what comes behind the question.
        let mut asked = document(&ThereRequest::Stream).trying(|| "cannot ask the keeper")?;
        asked.extend_from_slice(first);
        keeper.stream.write_all(&asked).await.map_err(lost)?;
        match read_document(&mut keeper.stream, LONGEST_DOCUMENT_BYTES).await.map_err(lost)? {
            ThereReply::Stream => Ok(Box::new(keeper.stream)),
            other => Err(unexpected(other)),
        }
    }

    /// Has it end, and waits until it has; one that does not within 5 s is killed.
    ///
    /// # Errors
    /// It does not answer at all.
    pub async fn quit(mut self) -> Result<()> {
        let pid = self.hello().await?.pid;
        let ended = async {
            let _ = self.ask(&ThereRequest::Quit, &Unheard).await;
            let mut rest = [0];
            let _ = self.stream.read(&mut rest).await;
        };
        if tokio::time::timeout(QUIT_PATIENCE, ended).await.is_err() {
            process::kill(pid);
        }
        Ok(())
    }
}

/// Tells programs apart that cannot work together.
pub fn build() -> String {
    crate::sys::program::build_id(BUILD)
}

/// Ends the project's keeper where nobody can ask it any more: its socket is gone or in another folder than ours, or it
/// does not answer. It would hold the ports that the next one needs. The caller holds the project's lock.
pub fn end_lost(paths: &TherePaths) {
    let deadline = Instant::now() + QUIT_PATIENCE;
    while let Some(pid) = record_lock_holder(&paths.keeper_alive()) {
        process::kill(pid);
        if Instant::now() > deadline {
            return;
        }
        sleep(BETWEEN_LOOKS);
    }
}

fn spawn(site: &Site) -> Result<()> {
    end_lost(&site.paths);
    let (socket, log) = (site.paths.keeper_socket(), site.paths.keeper_log());
    remove_file_if_exists(&socket)?;
    let listener = unix::listen(&socket).trying(|| format!("cannot make the socket {}", socket.display()))?;
    let output = File::options().create(true).append(true).open(&log);
    let output = output.trying(|| format!("cannot open the log {}", log.display()))?;
    let start = ThereStart {
        place: site.elsewhere.place.clone(),
        project: site.id.clone(),
        folder: site.folder.clone(),
        person: site.elsewhere.person(),
        state: site.paths.sync(),
        alive: site.paths.keeper_alive(),
        build: build(),
    };
    let stdin = start_document(site, &start)?;
    let program = crate::sys::program::own_path().trying(|| "cannot find this program's file")?;
    let arguments = [OsStr::new(ENTRY), socket.as_os_str()];
    let extra = listener.into();
    // ssh needs to know where its agent is.
    detached::spawn(Detached {
        program: &program,
        arguments: &arguments,
        stdin,
        output,
        extra,
        keeps_environment: true,
    })
    .trying(|| format!("cannot start the keeper ({})", program.display()))
}

/// A file that holds how the keeper starts and has no name any more.
fn start_document(site: &Site, start: &ThereStart) -> Result<File> {
    let path = site.paths.folder().join("start");
    let written = (|| {
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        file.write_all(&serde_json::to_vec(start)?)?;
        file.rewind()?;
        std::fs::remove_file(&path)?;
        std::io::Result::Ok(file)
    })();
    written.trying(|| format!("cannot write {}", path.display()))
}

/// A reply other than the one that was hoped for, as a failure.
fn unexpected(reply: ThereReply) -> Failure {
    match reply {
        ThereReply::Failed(told) => told.into(),
        _ => {
            Failure::new("the keeper answered something else than it was asked").hint("`devenv down`, then `devenv up`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_of_another_build_is_told_apart() {
        let hello = |build| Hello { build, pid: 1, ports: BTreeMap::new() };
        assert!(hello(build()).is_of_this_build());
        assert!(!hello(format!("{}x", build())).is_of_this_build());
        assert!(!hello(BUILD.to_owned()).is_of_this_build(), "the program's file counts too");
    }
}

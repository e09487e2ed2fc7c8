//! The two ends as children of the test: this program once more, told by the environment which end it is.

use devenv::model::event::Unheard;
use devenv::model::sync::{SyncChoice, SyncDirection};
use devenv::model::{Result, Trying};
use devenv::sync::{Opener, Session, SessionStart, far};
use devenv::sys::stream::Stream;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as Blocking;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does nothing unless this process was started as one of the ends.
#[test]
fn end() {
    let Ok(end) = std::env::var("DEVENV_TEST_SYNC_END") else { return };
    let folder = PathBuf::from(std::env::var("DEVENV_TEST_SYNC_FOLDER").unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match end.as_str() {
        "there" => runtime.block_on(serve(&folder)),
        _ => runtime.block_on(host(&folder)),
    }
}

fn listen(path: &Path) -> UnixListener {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).unwrap()
}

async fn serve(folder: &Path) {
    let listener = listen(&folder.join("far.sock"));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = far::serve(Box::new(stream), folder.join("there"), folder.join("state-there"), None).await;
    }
}

async fn host(folder: &Path) {
    let socket = folder.join("far.sock");
    let open: Opener = Arc::new(move || {
        let socket = socket.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(&socket).await.trying(|| "cannot connect")?;
            Ok(Box::new(stream) as Stream)
        })
    });
    let start = SessionStart {
        root: folder.join("here"),
        state: folder.join("state-here"),
        mode: SyncDirection::TwoWay,
        ignore: Vec::new(),
        events: Arc::new(Unheard),
    };
    let session = Session::start(start, open);
    let listener = listen(&folder.join("host.sock"));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // Each by itself: somebody may want to know the status while a flush waits.
        tokio::spawn(talk(stream, session.clone()));
    }
}

async fn talk(stream: UnixStream, session: Session) {
    let (from, mut to) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = answer(&session, &line).await.unwrap_or_else(|failure| format!("error {failure}"));
        if to.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            break;
        }
    }
}

async fn answer(session: &Session, line: &str) -> Result<String> {
    Ok(match line {
        "flush" => session.flush().await.map(|()| "done".to_owned())?,
        "resume" => {
            session.resume();
            "done".to_owned()
        }
        "ours" => session.resolve(SyncChoice::Ours, "*").await?.to_string(),
        "theirs" => session.resolve(SyncChoice::Theirs, "*").await?.to_string(),
        _ => serde_json::to_string(&session.status().await).trying(|| "cannot write")?,
    })
}

/// One end, killed when dropped.
pub struct End(Child);

impl End {
    pub fn start(end: &str, folder: &Path) -> End {
        End::below(&[], end, folder)
    }

    /// As the last words of another command, which does something to it.
    pub fn below(command: &[&str], end: &str, folder: &Path) -> End {
        let own = std::env::current_exe().unwrap();
        let words: Vec<&OsStr> = command.iter().map(OsStr::new).chain([own.as_os_str()]).collect();
        let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("{end}.log"))).unwrap();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["--exact", "ends::end", "--nocapture"])
            .env("DEVENV_TEST_SYNC_END", end)
            .env("DEVENV_TEST_SYNC_FOLDER", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        End(child)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// With all that it started.
    pub fn kill(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks the host's end.
pub fn ask(folder: &Path, line: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let asked = Blocking::connect(folder.join("host.sock")).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE / 2))?;
            stream.write_all(format!("{line}\n").as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            Ok(answer)
        });
        match asked {
            Ok(answer) if !answer.is_empty() => return answer.trim_end().to_owned(),
            _ if Instant::now() > end => return format!("no answer to {line}: {asked:?}"),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

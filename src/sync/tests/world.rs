//! Two folders and a session between them over a pipe in memory.

use crate::model::Result;
use crate::model::event::Unheard;
use crate::model::sync::{SyncDirection, SyncStatus};
use crate::sync::{Opener, Session, SessionStart, far};
use crate::sys::stream::Stream;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    folder: tempfile::TempDir,
    pub mode: SyncDirection,
    pub ignore: Vec<String>,
    /// The far sides that were started.
    far: Arc<Mutex<Vec<JoinHandle<Result<()>>>>>,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        for name in ["here", "there"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        World { folder, mode: SyncDirection::TwoWay, ignore: Vec::new(), far: Arc::default() }
    }

    pub fn here(&self, path: &str) -> PathBuf {
        self.folder.path().join("here").join(path)
    }

    pub fn there(&self, path: &str) -> PathBuf {
        self.folder.path().join("there").join(path)
    }

    pub fn state(&self, side: &str) -> PathBuf {
        self.folder.path().join(format!("state-{side}"))
    }

    pub fn opener(&self) -> Opener {
        self.opener_of(self.there(""), self.state("there"))
    }

    /// As `opener`, of a far side that has its tree and its state in these folders.
    pub fn opener_of(&self, root: PathBuf, state: PathBuf) -> Opener {
        let far = self.far.clone();
        Arc::new(move || {
            let (root, state, far) = (root.clone(), state.clone(), far.clone());
            Box::pin(async move {
                let (one, two) = tokio::io::duplex(1 << 16);
                let task = tokio::spawn(far::serve(Box::new(two) as Stream, root, state, None));
                far.lock().unwrap().push(task);
                Ok(Box::new(one) as Stream)
            })
        })
    }

    pub fn start(&self) -> Session {
        self.start_by(self.opener())
    }

    /// Starts a session whose connections `open` makes.
    pub fn start_by(&self, open: Opener) -> Session {
        let start = SessionStart {
            root: self.folder.path().join("here"),
            state: self.state("here"),
            mode: self.mode,
            ignore: self.ignore.clone(),
            events: Arc::new(Unheard),
        };
        Session::start(start, open)
    }

    /// Breaks every connection there is.
    pub fn cut(&self) {
        for task in self.far.lock().unwrap().drain(..) {
            task.abort();
        }
    }

    /// Ends a session and waits for its far side.
    pub async fn stop(&self, session: Session) {
        session.stop().await;
        let far: Vec<_> = self.far.lock().unwrap().drain(..).collect();
        for task in far {
            let _ = task.await;
        }
    }

    /// Runs one session until both sides are settled.
    pub async fn once(&self) -> SyncStatus {
        let session = self.start();
        flush(&session).await;
        let status = session.status().await;
        self.stop(session).await;
        status
    }

    pub fn trees(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        (tree(&self.here("")), tree(&self.there("")))
    }

    pub fn assert_equal(&self) {
        let (here, there) = self.trees();
        assert_eq!(here, there);
    }
}

pub async fn flush(session: &Session) {
    match tokio::time::timeout(PATIENCE, session.flush()).await {
        Ok(flushed) => flushed.unwrap(),
        Err(_) => panic!("no answer: {:?}", session.status().await),
    }
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// All below `root`, as text.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let facts = fs::symlink_metadata(&path).unwrap();
            let shown = if facts.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if facts.is_dir() {
                open.push(path);
                "folder".to_owned()
            } else if facts.is_file() {
                let content = fs::read(&path).unwrap();
                let shown = match content.len() {
                    0..200 => String::from_utf8_lossy(&content).into_owned(),
                    length => format!("{length} bytes {}", blake3::hash(&content).to_hex()),
                };
                format!("{:o} {shown}", facts.permissions().mode() & 0o777)
            } else {
                "special".to_owned()
            };
            all.insert(name, shown);
        }
    }
    all
}

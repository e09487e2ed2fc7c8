//! Hears of changes in a tree (FSEvents): one watch for all of it.

use notify::event::{EventKind, Flag, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Something about `path` changed. `whole`: it is another thing than before, so all below it is new.
    Path { path: PathBuf, whole: bool },
    /// Something was missed.
    Lost,
}

/// Watches trees until dropped.
pub struct TreeWatch(Mutex<RecommendedWatcher>);

impl TreeWatch {
    /// Whether folders below a watched one have to be added one by one.
    pub const EACH_FOLDER: bool = false;

    /// Starts a thread that calls `on_seen`; nothing is watched yet.
    ///
    /// # Errors
    /// The system gives no watch.
    pub fn start(mut on_seen: impl FnMut(Seen) + Send + 'static) -> io::Result<TreeWatch> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if event.flag() == Some(Flag::Rescan) => on_seen(Seen::Lost),
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(event) => {
                let whole = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)));
                event.paths.into_iter().for_each(|path| on_seen(Seen::Path { path, whole }));
            }
            Err(_) => on_seen(Seen::Lost),
        });
        Ok(TreeWatch(Mutex::new(watcher.map_err(io::Error::other)?)))
    }

    /// Watches the tree at `path` too.
    ///
    /// # Errors
    /// The system gives no watch.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        let mut watcher = self.0.lock().map_err(|_| io::Error::other("the watch broke"))?;
        watcher.watch(path, RecursiveMode::Recursive).map_err(io::Error::other)
    }
}

/// Whether the system's limit on watches was met.
pub fn is_limit(_: &io::Error) -> bool {
    false
}

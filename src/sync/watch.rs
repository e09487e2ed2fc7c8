//! Gathers what changed in a tree until it is quiet for a moment.

use super::path::TreePath;
use crate::sys::tree_watch::{Seen, TreeWatch, is_limit};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Changes are looked at when none came for so long, …
const QUIET: Duration = Duration::from_millis(3);
/// … and at the latest so long after the first.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// More changes than this are no quicker to look at one by one than by reading the tree.
const MOST_PATHS: usize = 200_000;
/// A sign that does not come back within this says that nothing is heard at all.
const LOST_SIGN: Duration = Duration::from_secs(2);

/// What changed since it was last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Each path, and whether all below it is new.
    pub paths: BTreeMap<TreePath, bool>,
    /// Something was missed: only reading all of the tree helps.
    pub lost: bool,
}

#[derive(Default)]
struct Pending {
    dirty: Dirty,
    first: Option<Instant>,
    last: Option<Instant>,
    sign: u64,
    /// Files that will be looked at in any case, and when they were last written to.
    resting: HashMap<TreePath, Instant>,
}

struct Shared {
    root: PathBuf,
    signs: PathBuf,
    pending: Mutex<Pending>,
    signed: Condvar,
}

/// Watches one tree.
pub struct Watch {
    tree: TreeWatch,
    shared: Arc<Shared>,
    /// The kernel has no watch left: what is not watched has to be read from time to time.
    limit: Mutex<bool>,
    signs_given: u64,
}

impl Watch {
    /// Starts to watch; folders are added as they are read. `signs` is a folder outside of the tree in which files are
    /// made to see how far the system is. `wake` is called when the first of some changes comes.
    ///
    /// # Errors
    /// The system gives no watch.
    pub fn start(root: &Path, signs: &Path, wake: impl Fn() + Send + 'static) -> io::Result<Watch> {
        let shared = Arc::new(Shared {
            root: root.into(),
            signs: signs.into(),
            pending: Mutex::default(),
            signed: Condvar::new(),
        });
        let heard = shared.clone();
        let tree = TreeWatch::start(move |seen| heard.hear(seen, &wake))?;
        tree.add(signs)?;
        if !TreeWatch::EACH_FOLDER {
            tree.add(root)?;
        }
        Ok(Watch { tree, shared, limit: Mutex::new(false), signs_given: 0 })
    }

    /// Watches a folder of the tree.
    pub fn add(&self, path: &TreePath) {
        if !TreeWatch::EACH_FOLDER {
            return;
        }
        // A folder that went away is heard of from the one it was in.
        if let Err(error) = self.tree.add(&path.under(&self.shared.root))
            && is_limit(&error)
            && let Ok(mut limit) = self.limit.lock()
        {
            *limit = true;
        }
    }

    /// Whether the system's limit was met.
    pub fn is_limited(&self) -> bool {
        self.limit.lock().is_ok_and(|limit| *limit)
    }

    /// When the changes that wait should be looked at; `None` when none wait.
    pub fn due(&self) -> Option<Instant> {
        let pending = self.shared.lock();
        Some((pending.last? + QUIET).min(pending.first? + LONGEST_WAIT))
    }

    /// From now on nobody has to hear of changes of a file: it will be looked at in any case.
    pub fn rest(&self, path: &TreePath) {
        self.shared.lock().resting.insert(path.clone(), Instant::now());
    }

    /// When a file that rests was last written to.
    pub fn touched(&self, path: &TreePath) -> Option<Instant> {
        self.shared.lock().resting.get(path).copied()
    }

    /// From now on its changes are told again.
    pub fn end_rest(&self, path: &TreePath) {
        self.shared.lock().resting.remove(path);
    }

    /// Takes what changed.
    pub fn take(&self) -> Dirty {
        let mut pending = self.shared.lock();
        (pending.first, pending.last) = (None, None);
        std::mem::take(&mut pending.dirty)
    }

    /// Waits until everything that changed before this call is known. `false`: nobody can say.
    pub fn catch_up(&mut self) -> bool {
        self.signs_given += 1;
        let sign = self.shared.signs.join(self.signs_given.to_string());
        if std::fs::write(&sign, "").is_err() {
            return false;
        }
        let wanted = self.signs_given;
        let waited =
            self.shared.signed.wait_timeout_while(self.shared.lock(), LOST_SIGN, |pending| pending.sign < wanted);
        let _ = std::fs::remove_file(&sign);
        waited.is_ok_and(|(pending, _)| pending.sign >= wanted)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn hear(&self, seen: Seen, wake: &impl Fn()) {
        let mut pending = self.lock();
        match seen {
            Seen::Path { path, .. } if path.starts_with(&self.signs) => {
                let number = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
                pending.sign = pending.sign.max(number.unwrap_or(0));
                self.signed.notify_all();
                return;
            }
            Seen::Path { path, whole } => match TreePath::below(&self.root, &path) {
                Some(path) if !whole && pending.resting.contains_key(&path) => {
                    pending.resting.insert(path, Instant::now());
                    return;
                }
                Some(path) if pending.dirty.paths.len() < MOST_PATHS => {
                    *pending.dirty.paths.entry(path).or_default() |= whole;
                }
                _ => pending.dirty.lost = true,
            },
            Seen::Lost => pending.dirty.lost = true,
        }
        let now = Instant::now();
        pending.last = Some(now);
        if pending.first.is_none() {
            pending.first = Some(now);
            drop(pending);
            wake();
        }
    }
}

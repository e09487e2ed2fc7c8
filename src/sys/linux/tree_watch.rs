//! Hears of changes in many folders (inotify(7)): one watch for each.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Something about `path` changed. `whole`: it is another thing than before, so all below it is new.
    Path { path: PathBuf, whole: bool },
    /// Something was missed.
    Lost,
}

/// Watches folders until dropped.
pub struct TreeWatch {
    inner: Arc<Inner>,
    /// Its end wakes the thread.
    _stop: UnixStream,
}

struct Inner {
    inotify: Inotify,
    folders: Mutex<HashMap<WatchDescriptor, PathBuf>>,
}

/// Opening and reading are of no interest. A symlink is not followed.
const WATCHED: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(AddWatchFlags::IN_DONT_FOLLOW);

/// What comes so soon after an event is read in one go: to wake for each of many costs more than all else about them.
const GATHER: Duration = Duration::from_millis(1);

impl TreeWatch {
    /// Whether folders below a watched one have to be added one by one.
    pub const EACH_FOLDER: bool = true;

    /// Starts a thread that calls `on_seen`; nothing is watched yet.
    ///
    /// # Errors
    /// The kernel gives no inotify instance.
    pub fn start(on_seen: impl FnMut(Seen) + Send + 'static) -> io::Result<TreeWatch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let inner = Arc::new(Inner { inotify, folders: Mutex::default() });
        let (stop, stopped) = UnixStream::pair()?;
        let listener = inner.clone();
        std::thread::Builder::new().name("watch".into()).spawn(move || listener.listen(&stopped, on_seen))?;
        Ok(TreeWatch { inner, _stop: stop })
    }

    /// Watches the folder at `path` too; one that was moved is known by its new path from now on.
    ///
    /// # Errors
    /// As inotify_add_watch(2); `ENOSPC` at the kernel's limit.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        // Held over the call, so that no event is read before its folder is known.
        let mut folders = self.inner.folders.lock().map_err(|_| io::Error::other("the watch broke"))?;
        let watch = self.inner.inotify.add_watch(path, WATCHED)?;
        folders.insert(watch, path.into());
        Ok(())
    }
}

impl Drop for TreeWatch {
    fn drop(&mut self) {
        let _ = self._stop.write_all(b"x");
    }
}

impl Inner {
    fn listen(&self, stopped: &UnixStream, mut on_seen: impl FnMut(Seen)) {
        loop {
            let mut both =
                [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            match poll(&mut both, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            if both[1].any().unwrap_or(true) {
                let _ = (&mut &*stopped).read(&mut [0]);
                return;
            }
            while let Ok(events) = self.inotify.read_events() {
                let Ok(mut folders) = self.folders.lock() else { return };
                for event in events {
                    if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                        on_seen(Seen::Lost);
                    }
                    let Some(folder) = folders.get(&event.wd) else { continue };
                    let path = event.name.map_or_else(|| folder.clone(), |name| folder.join(name));
                    if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                        folders.remove(&event.wd);
                        continue;
                    }
                    let came = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
                    on_seen(Seen::Path { path, whole: event.mask.intersects(came) });
                }
            }
            std::thread::sleep(GATHER);
        }
    }
}

/// Whether the kernel's limit on watches was met.
pub fn is_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOSPC as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn changes_are_heard_of_under_the_newest_path() {
        let folder = tempfile::tempdir().unwrap();
        let (send, seen) = mpsc::channel();
        let watch = TreeWatch::start(move |what| drop(send.send(what))).unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        watch.add(&one).unwrap();
        std::fs::write(one.join("x"), "").unwrap();
        let next = || seen.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(next(), Seen::Path { path: one.join("x"), whole: true });
        std::fs::rename(&one, &two).unwrap();
        watch.add(&two).unwrap();
        std::fs::remove_file(two.join("x")).unwrap();
        let last = Seen::Path { path: two.join("x"), whole: false };
        while next() != last {}
        std::os::unix::fs::symlink(&two, folder.path().join("link")).unwrap();
        assert!(watch.add(&folder.path().join("link")).is_err());
        drop(watch);
        assert!(seen.recv_timeout(Duration::from_secs(20)).is_err(), "the thread ends");
    }
}

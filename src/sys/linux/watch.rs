//! Being woken when files change (inotify(7)).

use crate::model::{Result, Trying};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Waits for a change of some files.
pub struct Watcher(Inotify);

impl Watcher {
    /// Watches `paths`; those that are missing, or that the kernel has no watch left for, wake nobody.
    ///
    /// # Errors
    /// The kernel gives no inotify instance.
    pub fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Watcher> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).trying(|| "cannot watch files")?;
        for path in paths {
            let _ = inotify.add_watch(path, AddWatchFlags::IN_MODIFY);
        }
        Ok(Watcher(inotify))
    }

    /// Waits for the next change, a signal, or until `limit` passed.
    pub fn wait(&self, limit: Duration) {
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout);
        while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
    }
}

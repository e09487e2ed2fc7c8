//! Ctrl-C and SIGTERM as a flag that long work looks at.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note(_: libc::c_int) {
    // A second wish means now: every state on disk is one from which the next command goes on.
    if COUNT.fetch_add(1, Ordering::SeqCst) >= 1 {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(130) }
    }
}

/// From now on SIGINT and SIGTERM set the flag, and end the process only the second time.
pub fn watch() {
    // SA_RESTART is left out so that a wait in progress notices.
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler touches one atomic and calls _exit, both async-signal-safe.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// Whether somebody wants us to stop.
pub fn wanted() -> bool {
    COUNT.load(Ordering::SeqCst) > 0
}

/// Gives both signals their default meaning back.
pub fn unwatch() {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the default action has no handler.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

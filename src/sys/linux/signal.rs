//! Signals and children for a first process and for those who pass signals on (signal(7), pid_namespaces(7)).

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, sigaction, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::Duration;

pub const TERMINATE: i32 = libc::SIGTERM;
pub const KILL: i32 = libc::SIGKILL;
pub const HANG_UP: i32 = libc::SIGHUP;
pub const CHILD: i32 = libc::SIGCHLD;
pub const WINDOW: i32 = libc::SIGWINCH;
pub const INTERRUPT: i32 = libc::SIGINT;
pub const TERMINAL_STOP: i32 = libc::SIGTSTP;
pub const CONTINUE: i32 = libc::SIGCONT;

/// Blocks every signal of this thread; `wait` takes them one by one.
pub fn block_all() {
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None);
}

extern "C" fn end(number: libc::c_int) {
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(128 + number) }
}

/// Ends this process on the signals that ask for it, also where it is the first one of a namespace, which otherwise
/// hears only those it has a handler for (pid_namespaces(7)). Executing a program brings the defaults back.
pub fn end_when_asked() {
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2] {
        // SAFETY: the handler only calls _exit.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// What a program may expect to find: nothing blocked, nothing ignored (Rust ignores SIGPIPE).
pub fn restore_defaults() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action has no handler.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Takes the next blocked signal, waiting for it; `None` when `timeout` passed. Knows real-time signals as well.
pub fn wait(timeout: Option<Duration>) -> Option<i32> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let deadline = timeout.map(|t| libc::timespec { tv_sec: t.as_secs() as _, tv_nsec: t.subsec_nanos() as _ });
    let deadline = deadline.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    loop {
        // SAFETY: sigfillset initialises `set`; both pointers are valid or null for the call.
        let number = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            libc::sigtimedwait(set.as_ptr(), std::ptr::null_mut(), deadline)
        };
        match number {
            1.. => return Some(number),
            _ if Errno::last() == Errno::EINTR => {}
            _ => return None,
        }
    }
}

/// A child that ended, and its exit code (128 + N when signal N killed it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub pid: i32,
    pub code: i32,
}

/// Takes one ended child, if there is one.
pub fn reap() -> Option<Ended> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => match ended(status) {
                Some(ended) => return Some(ended),
                None if status == WaitStatus::StillAlive => return None,
                None => {}
            },
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Whether this process has children, ended ones that nobody has reaped included.
pub fn has_children() -> bool {
    // SAFETY: no place for facts about the child is given; the child stays as it is.
    let result =
        unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    result == 0 || Errno::last() != Errno::ECHILD
}

/// Waits for the end of one child.
pub fn wait_for(pid: i32) -> i32 {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Ok(status) => {
                if let Some(ended) = ended(status) {
                    return ended.code;
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    match status {
        WaitStatus::Exited(pid, code) => Some(Ended { pid: pid.as_raw(), code }),
        WaitStatus::Signaled(pid, signal, _) => Some(Ended { pid: pid.as_raw(), code: 128 + signal as i32 }),
        _ => None,
    }
}

/// Sends a signal to a process; -1: to all this one may signal but itself and the first. False when there is none.
pub fn send(pid: i32, number: i32) -> bool {
    // SAFETY: plain numbers.
    unsafe { libc::kill(pid, number) == 0 }
}

/// Stops this process as a terminal's stop key would.
pub fn stop_self() {
    let _ = kill(Pid::this(), Signal::SIGSTOP);
}

/// Has this process sent `number` when its parent dies (prctl(2), PR_SET_PDEATHSIG).
pub fn on_death_of_parent(number: i32) {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, number) };
}

/// Number of a signal from its name (`SIGTERM`, `TERM`) or number, as image configs and `kill` write it.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    // Real-time signals count from 34 in the C libraries of Linux (signal(7)).
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? };
        return (34 + offset <= 64).then_some(34 + offset);
    }
    Signal::iterator().find(|s| s.as_str() == format!("SIG{name}")).map(|s| s as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, wanted) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGNO", None),
            ("65", None),
        ] {
            assert_eq!(number(text), wanted, "{text}");
        }
    }
}

//! The work of process 1: keep the agent alive, and bury the dead.

use super::dhcp::Lease;
use super::{AGENT, complain, disk, files, modules, network, serve};
use crate::sys::linux::{signal, spawn};
use std::fs;
use std::time::{Duration, Instant};

/// An agent that lives shorter fails at its start: it is not started again at once.
const SHORT_LIFE: Duration = Duration::from_secs(2);

/// Returns when the guest is to be switched off.
pub fn supervise(lease: Lease) {
    let mut agent = start();
    std::thread::spawn(finish_boot);
    std::thread::spawn(|| network::keep(lease));
    loop {
        let heard = signal::wait(None);
        while let Some(ended) = signal::reap() {
            if agent.as_ref().is_some_and(|agent| agent.pid == ended.pid) {
                if ended.code == serve::SWITCH_OFF {
                    return;
                }
                agent = restart(agent.map(|agent| agent.born), ended.code);
            }
        }
        match heard {
            Some(signal::TERMINATE | signal::INTERRUPT) => return,
            _ if agent.is_none() => agent = restart(Some(Instant::now()), 0),
            _ => {}
        }
    }
}

struct Agent {
    pid: i32,
    born: Instant,
}

fn start() -> Option<Agent> {
    let environment = [
        ("HOME", files::HOME),
        ("USER", "root"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ];
    match spawn::again(&[AGENT], &environment) {
        Ok(pid) => Some(Agent { pid, born: Instant::now() }),
        Err(failure) => {
            complain(&failure);
            None
        }
    }
}

fn restart(born: Option<Instant>, code: i32) -> Option<Agent> {
    super::say(&format!("devenv-guest: the agent ended ({code}) and is started again"));
    if born.is_none_or(|born| born.elapsed() < SHORT_LIFE) {
        std::thread::sleep(SHORT_LIFE);
    }
    start()
}

/// What nobody waits for before SSH answers.
fn finish_boot() {
    files::apply_settings();
    modules::load_later();
    wake_processors();
    disk::follow_size();
}

/// Starts the processors that the kernel left alone at boot (`maxcpus=1`): each costs time there under emulation.
fn wake_processors() {
    for entry in fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten() {
        let switch = entry.path().join("online");
        if fs::read_to_string(&switch).is_ok_and(|state| state.trim() == "0") {
            let _ = fs::write(&switch, "1");
        }
    }
}

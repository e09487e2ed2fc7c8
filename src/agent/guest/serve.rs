//! The guest's agent: serves the host over SSH, and ends when the guest is to be switched off.

use super::idle::Connections;
use super::{boot, clock, complain, modules, say};
use crate::agent::ssh::Door;
use crate::model::guest::{READY_LINE, SSH_PORT};
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::{facts, vsock};
use crate::sys::socket;
use crate::sys::stream::Stream;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The exit code by which process 1 is asked to switch the guest off.
pub const SWITCH_OFF: i32 = 42;

/// Processors may be started after the agent is: one thread each for the encryption of both directions.
const THREADS: usize = 2;

/// Connections that may wait: only the host makes any.
const BACKLOG: i32 = 128;

/// Serves until the guest is to be switched off.
pub fn main() -> ExitCode {
    facts::set_name(c"devenv-agent");
    match run() {
        Ok(()) => ExitCode::from(SWITCH_OFF as u8),
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    socket::raise_descriptor_limit();
    let seed = boot::read_seed()?;
    let door = Arc::new(Door::new(&seed.host_key, &seed.client_key, clock::set)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let idle = seed.idle_minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
    runtime.trying(|| "cannot start the runtime")?.block_on(async {
        let connections = Connections::default();
        let listener = listen()?;
        say(READY_LINE);
        tokio::select! {
            () = accept(listener, &door, &connections) => Ok(()),
            () = door.switch_off.notified() => Ok(()),
            () = connections.unused_for(idle) => Ok(()),
        }
    })
}

/// Where the host connects: over vsock where this machine has it, for then there is no need that anybody else can try.
enum Listener {
    Tcp(TcpListener),
    Vsock(vsock::Listener),
}

fn listen() -> Result<Listener> {
    if vsock::is_there() {
        modules::load_vsock()?;
        let listening = vsock::Listener::bind(u32::from(SSH_PORT), BACKLOG);
        return listening.trying(|| format!("cannot listen at vsock port {SSH_PORT}")).map(Listener::Vsock);
    }
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, SSH_PORT));
    let listening = socket::bound_tcp(address).and_then(|listener| {
        socket::listen(&listener, BACKLOG)?;
        TcpListener::from_std(listener)
    });
    listening.trying(|| format!("cannot listen at {address}")).map(Listener::Tcp)
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                let _ = socket.set_nodelay(true);
                Ok(Box::new(socket))
            }
            Listener::Vsock(listener) => Ok(Box::new(listener.accept().await?)),
        }
    }
}

async fn accept(listener: Listener, door: &Arc<Door>, connections: &Connections) {
    loop {
        match listener.accept().await {
            Ok(socket) => {
                let (door, connections) = (door.clone(), connections.clone());
                // Who only looks whether somebody is there keeps nobody awake.
                tokio::spawn(async move { door.serve(socket, move || connections.one_more()).await });
            }
            Err(error) => {
                complain(&Failure::because("cannot accept a connection", error));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

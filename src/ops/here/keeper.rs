//! A project's keeper, as those who ask it see it.

use crate::model::Protocol;
use crate::model::wire::{KeeperReply, KeeperRequest, KeeperStart, NetworkPlan};
use crate::model::{BoxName, Failure, HostPort, PortAddress, PublishedPort, Result, Trying};
use crate::sys::detached::{self, Detached};
use crate::sys::linux::descriptors;
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::{pipe, signal, unix};
use crate::sys::ports::{Holder, describe_taken, find_holder};
use crate::sys::socket::{bound_tcp, bound_udp};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an answer may take: 200 boxes are made in a second or two, on a busy computer in several.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to say who it is, which needs no work.
const PATIENCE_AT_HELLO: Duration = Duration::from_secs(10);
/// How long a keeper may take to end by itself.
const PATIENCE_AT_END: Duration = Duration::from_secs(5);

/// The first word of a keeper's command line.
pub const ENTRY: &str = "__keeper";

/// A connection to a keeper that listens.
pub struct Keeper {
    stream: UnixStream,
}

/// Who a keeper is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Build of the program it runs.
    pub build: String,
    pub pid: u32,
}

/// A network that is as planned, or is about to be.
#[derive(Debug)]
pub struct NetworkSet {
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    pub notes: Vec<String>,
    /// The reading end of a pipe: gets a byte when the network is made, and ends without one when it could not be.
    pub settled: OwnedFd,
    /// Namespace of the router.
    pub router: OwnedFd,
    /// Namespaces of the boxes, in the order of the plan.
    pub boxes: Vec<OwnedFd>,
}

impl Keeper {
    /// The keeper that listens at `socket`; `None` when nobody does.
    ///
    /// # Errors
    /// The socket is there and may not be used.
    pub fn connect(socket: &Path) -> Result<Option<Keeper>> {
        match unix::connect(socket) {
            Ok(stream) => Keeper::over(stream).map(Some),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(Failure::because(format!("cannot connect to the keeper at {}", socket.display()), error)),
        }
    }

    /// Starts a keeper: `program __keeper`, detached from this process, listening at `socket`, its output appended to
    /// `log`. This process has to be what the keeper shall be: in the project's user namespace with all capabilities
    /// there, and in the host's network. The caller holds the project's lock; a socket that nobody listens at any
    /// more is replaced. What is asked before it is ready waits for it.
    ///
    /// # Errors
    /// The socket or the log cannot be made, or the program not be executed.
    pub fn spawn(program: &Path, socket: &Path, log: &Path, start: &KeeperStart) -> Result<Keeper> {
        crate::sys::fs::remove_file_if_exists(socket)?;
        let listener = unix::listen(socket).trying(|| format!("cannot make the socket {}", socket.display()))?;
        let output = File::options().create(true).append(true).open(log);
        let output = output.trying(|| format!("cannot open the log {}", log.display()))?;
        let stdin = pipe::memory(
            "keeper-start",
            &serde_json::to_vec(start).trying(|| "cannot write down how the keeper starts")?,
        )?
        .into();
        // The socket tells people who look at processes whose keeper it is.
        let arguments = [OsStr::new(ENTRY), socket.as_os_str()];
        // It outlives whoever starts it: none of that environment is its business.
        let extra = listener.into();
        detached::spawn(Detached { program, arguments: &arguments, stdin, output, extra, keeps_environment: false })
            .trying(|| format!("cannot start the keeper ({})", program.display()))?;
        unix::connect(socket).trying(|| "the keeper does not listen").and_then(Keeper::over)
    }

    fn over(stream: UnixStream) -> Result<Keeper> {
        let timed = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        timed.trying(|| "cannot set how long to wait for the keeper")?;
        Ok(Keeper { stream })
    }

    /// Who it is.
    ///
    /// # Errors
    /// It does not answer within 10 s.
    pub fn hello(&mut self) -> Result<Identity> {
        let timed = |stream: &UnixStream, patience| stream.set_read_timeout(Some(patience));
        timed(&self.stream, PATIENCE_AT_HELLO).trying(|| "cannot set how long to wait for the keeper")?;
        let answer = self.ask(&KeeperRequest::Hello, &[]);
        timed(&self.stream, PATIENCE).trying(|| "cannot set how long to wait for the keeper")?;
        match answer?.0 {
            KeeperReply::Hello { build, pid } => Ok(Identity { build, pid }),
            other => Err(unexpected(&other)),
        }
    }

    /// Has it make the network so, and waits until it is.
    ///
    /// # Errors
    /// As [`Keeper::begin_network`] and [`Keeper::settle`].
    pub fn set_network(&mut self, plan: &NetworkPlan, bound: &[OwnedFd]) -> Result<NetworkSet> {
        let mut set = self.begin_network(plan, bound)?;
        set.notes.extend(self.settle()?);
        Ok(set)
    }

    /// Waits until the network is as asked for last. Returns what there is to tell.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn settle(&mut self) -> Result<Vec<String>> {
        match self.ask(&KeeperRequest::Settle, &[])?.0 {
            KeeperReply::Settled { notes } => Ok(notes),
            other => Err(unexpected(&other)),
        }
    }

    /// Has it begin to make the network so: namespaces and ports are there, and programs may run in them once it has
    /// settled. `bound` are sockets of ports that only root may bind ([`bind_privileged`]).
    ///
    /// # Errors
    /// Nothing changed then: a port is taken (who holds it is named where that can be known), a box does not fit, the
    /// kernel refuses.
    pub fn begin_network(&mut self, plan: &NetworkPlan, bound: &[OwnedFd]) -> Result<NetworkSet> {
        let (reply, descriptors) = self.ask(&KeeperRequest::SetNetwork(plan.clone()), bound)?;
        let KeeperReply::Network { ports, notes } = reply else { return Err(unexpected(&reply)) };
        let mut descriptors = descriptors.into_iter();
        let (settled, router) = (descriptors.next(), descriptors.next());
        let boxes: Vec<OwnedFd> = descriptors.collect();
        match (settled, router) {
            (Some(settled), Some(router)) if boxes.len() == plan.boxes.len() => {
                Ok(NetworkSet { ports, notes, settled, router, boxes })
            }
            _ => Err(Failure::new("the keeper did not hand over the network's namespaces")
                .hint("are too many files open? see `ulimit -n`")),
        }
    }

    /// A connection to a port of a box, as `KeeperReply::Connected` describes it.
    ///
    /// # Errors
    /// The box does not run, or nobody listens there.
    pub fn open_connection(&mut self, name: &BoxName, protocol: Protocol, port: u16) -> Result<Vec<OwnedFd>> {
        match self.ask(&KeeperRequest::Connect { name: name.clone(), protocol, port }, &[])? {
            (KeeperReply::Connected, sockets) if !sockets.is_empty() => Ok(sockets),
            (KeeperReply::Connected, _) => Err(Failure::new("the keeper did not hand over the connection")
                .hint("are too many files open? see `ulimit -n`")),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Has it end, and waits until it has; one that does not answer or end within 5 s is killed.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn quit(mut self) -> Result<()> {
        let process = self.hold_process()?;
        let hurried = self.stream.set_read_timeout(Some(PATIENCE_AT_END));
        hurried.trying(|| "cannot set how long to wait for the keeper")?;
        let asked = self.ask(&KeeperRequest::Quit, &[]).is_ok_and(|(reply, _)| reply == KeeperReply::Quitting);
        if asked && process.wait(PATIENCE_AT_END) {
            return Ok(());
        }
        process.signal(signal::KILL);
        if process.wait(PATIENCE_AT_END) { Ok(()) } else { Err(Failure::new("the keeper was killed and does not end")) }
    }

    /// Its process, so that no other can be meant by its number.
    fn hold_process(&mut self) -> Result<Process> {
        let open = |pid| Process::open(pid).trying(|| format!("cannot hold the keeper, process {pid}"));
        let listening = unix::get_listening_process(&self.stream).trying(|| "cannot tell who listens")?;
        if let Ok(process) = Process::open(listening)
            && runs_a_keeper(listening)
        {
            return Ok(process);
        }
        // This connection is older than its first act: it is asked, and has to answer once more afterwards.
        let process = open(self.hello()?.pid)?;
        self.hello()?;
        Ok(process)
    }

    fn ask(&mut self, request: &KeeperRequest, handed: &[OwnedFd]) -> Result<(KeeperReply, Vec<OwnedFd>)> {
        let mut line = serde_json::to_vec(request).trying(|| "cannot write the request to the keeper")?;
        line.push(b'\n');
        self.send(&line, handed).trying(|| "cannot ask the keeper")?;
        let (line, descriptors) = self.receive().trying(|| "the keeper does not answer")?;
        let reply = serde_json::from_slice(&line).trying(|| "cannot understand the keeper's answer")?;
        Ok((reply, descriptors))
    }

    fn send(&mut self, line: &[u8], handed: &[OwnedFd]) -> io::Result<()> {
        let handed: Vec<_> = handed.iter().take(descriptors::DESCRIPTORS_A_MESSAGE).map(AsFd::as_fd).collect();
        let sent = descriptors::send(&self.stream, line, &handed)?;
        self.stream.write_all(&line[sent..])
    }

    fn receive(&mut self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let (mut line, mut descriptors) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 64 * 1024];
        while line.last() != Some(&b'\n') {
            match descriptors::receive(&self.stream, &mut buffer, &mut descriptors) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => line.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
            if Instant::now() > deadline {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        Ok((line, descriptors))
    }
}

/// Whether this process was started as a keeper, by its command line.
fn runs_a_keeper(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(ENTRY.as_bytes())
}

/// The first port of the plan that somebody else holds, as the failure it would end in. To be asked before entering a
/// user namespace: from there the processes of the host cannot be looked into. `own` are ports that this project's
/// living keeper holds.
pub fn find_taken<'p>(
    plan: &NetworkPlan,
    own: impl Iterator<Item = &'p PublishedPort>,
    own_keeper: impl Fn(u32) -> bool,
) -> Option<Failure> {
    let own: Vec<(u16, Protocol)> = own.map(|port| (port.host_port, port.protocol)).collect();
    let requests = plan.boxes.iter().flat_map(|b| b.ports.iter().map(|request| (&b.name, request)));
    let mut fixed = requests.filter_map(|(name, request)| match request.host {
        HostPort::Exactly(port) if !own.contains(&(port, request.protocol)) => Some((name, request, port)),
        _ => None,
    });
    let (name, request, _) = fixed.find(|(_, request, port)| {
        match find_holder(request.address, *port, request.protocol) {
            // A keeper that was started and not recorded yet, when `up` was killed.
            Some(Holder::Process { pid, .. }) => !own_keeper(pid),
            holder => holder.is_some(),
        }
    })?;
    Some(describe_taken(name, request))
}

/// Binds the ports of the plan that only root may, as far as they are free. To be called before entering a user
/// namespace: neither it nor the keeper has rights over the host's ports from there.
pub fn bind_privileged(plan: &NetworkPlan) -> Vec<OwnedFd> {
    let first_free = first_unprivileged_port();
    let requests = plan.boxes.iter().flat_map(|b| &b.ports);
    let addresses = requests.flat_map(|request| {
        let port = match request.host {
            HostPort::Exactly(port) => port,
            HostPort::Preferred => request.box_port,
        };
        let addresses: Vec<IpAddr> = match request.address {
            PortAddress::Loopback => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            PortAddress::Address(address) => vec![address],
        };
        addresses.into_iter().map(move |address| (SocketAddr::new(address, port), request.protocol))
    });
    let privileged = addresses.filter(|(address, _)| address.port() != 0 && address.port() < first_free);
    let bind = |(address, protocol): (SocketAddr, Protocol)| match protocol {
        Protocol::Tcp => bound_tcp(address).map(OwnedFd::from),
        Protocol::Udp => bound_udp(address).map(OwnedFd::from),
    };
    privileged.filter_map(|wanted| bind(wanted).ok()).collect()
}

/// Below this a port needs rights (`ip(7)`, ip_unprivileged_port_start).
fn first_unprivileged_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// A reply other than the one that was hoped for, as a failure.
fn unexpected(reply: &KeeperReply) -> Failure {
    match reply {
        KeeperReply::PortTaken { name, request } => describe_taken(name, request),
        KeeperReply::Failed { causes, hint } => {
            let mut causes = causes.iter().rev();
            let innermost = Failure::new(causes.next().cloned().unwrap_or_else(|| "the keeper failed".into()));
            let failure = causes.fold(innermost, |cause, what| Failure::because(what.clone(), cause));
            match hint {
                Some(hint) => failure.hint(hint.clone()),
                None => failure,
            }
        }
        _ => Failure::new("the keeper answered something else than it was asked")
            .hint("it may be of another version: `devenv stop`, then `devenv up`"),
    }
}

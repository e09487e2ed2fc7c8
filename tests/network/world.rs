//! A keeper in a user namespace of its own, and programs in its boxes.

use devenv::model::wire::{BoxNetwork, KeeperStart, NetworkPlan, Survivor};
use devenv::model::{BoxName, HostPort, PortAddress, PortRequest, ProjectId, Protocol, PublishedPort};
use devenv::ops::here::keeper::{Keeper, NetworkSet, bind_privileged};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub const SUBNET: Ipv4Addr = Ipv4Addr::new(10, 233, 4, 0);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 233, 4, 1);

pub fn devenv_binary() -> PathBuf {
    std::env::var_os("DEVENV_TEST_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_devenv").into(), PathBuf::from)
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

pub fn name(text: &str) -> BoxName {
    BoxName::new(text).expect("a name")
}

/// A port of the host for a test: two users may run the tests at the same time. Both are below the numbers the kernel
/// gives to whoever wants any (net.ipv4.ip_local_port_range).
pub fn port(number: u16) -> u16 {
    if is_root() { number } else { number + 10_000 }
}

/// The address of this computer that others see; found without sending anything.
pub fn host_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.99:9").expect("a route to the outside, to have an address of our own");
    socket.local_addr().expect("its address").ip()
}

/// Waits for `condition` up to ten seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A box of the plan; the last number of its address is `last`.
pub fn wanted(box_name: &str, last: u8, ports: &[PortRequest]) -> BoxNetwork {
    let [a, b, c, _] = SUBNET.octets();
    let address = Ipv4Addr::new(a, b, c, last);
    BoxNetwork { name: name(box_name), address, ports: ports.to_vec(), remembered: Vec::new() }
}

pub fn plan(boxes: Vec<BoxNetwork>) -> NetworkPlan {
    NetworkPlan { subnet: SUBNET, prefix: 22, dns: Vec::new(), loopback_ports: Vec::new(), boxes }
}

pub fn preferred(box_port: u16, protocol: Protocol) -> PortRequest {
    PortRequest { address: PortAddress::Loopback, host: HostPort::Preferred, box_port, protocol }
}

pub fn exactly(host: u16, box_port: u16) -> PortRequest {
    let (address, protocol) = (PortAddress::Loopback, Protocol::Tcp);
    PortRequest { address, host: HostPort::Exactly(host), box_port, protocol }
}

pub struct World {
    folder: tempfile::TempDir,
    pub keeper: Option<Keeper>,
    pub pid: u32,
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = World { folder, keeper: None, pid: 0 };
        world.start("unshare --user --map-root-user", Vec::new());
        world
    }

    /// Starts another keeper in the user namespace of a process.
    pub fn start_again(&mut self, user_namespace_of: u32, survivors: Vec<Survivor>) {
        let enter = format!("nsenter --user=/proc/{user_namespace_of}/ns/user --preserve-credentials");
        self.start(&enter, survivors);
    }

    fn start(&mut self, enter: &str, survivors: Vec<Survivor>) {
        let script = format!("#!/bin/sh\nexec {enter} -- {} \"$@\"\n", devenv_binary().display());
        let program = self.folder.path().join("start");
        // Another test may fork while a file is open here to be written, and what is open to be written cannot be
        // executed: so another process writes it.
        let write = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let written = Command::new("sh").args(["-c", write, "sh", &script]).arg(&program).status().expect("sh");
        assert!(written.success());
        let log = self.folder.path().join("log");
        let start =
            KeeperStart { project: ProjectId::new("p-test-1").expect("an id"), build: "test".into(), survivors };
        let mut keeper = Keeper::spawn(&program, &self.socket(), &log, &start).unwrap_or_else(|failure| {
            panic!("{:?}\n{}", failure.chain(), fs::read_to_string(&log).unwrap_or_default())
        });
        self.pid = keeper.hello().expect("who it is").pid;
        self.keeper = Some(keeper);
    }

    /// Longer than the address of a socket may be.
    pub fn socket(&self) -> PathBuf {
        let folder = self.folder.path().join("a-folder-with-a-long-name".repeat(6));
        fs::create_dir_all(&folder).expect("a folder");
        folder.join("keeper.sock")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn set(&mut self, plan: &NetworkPlan) -> NetworkSet {
        let keeper = self.keeper.as_mut().expect("a keeper");
        keeper.set_network(plan, &bind_privileged(plan)).unwrap_or_else(|failure| panic!("{:?}", failure.chain()))
    }

    /// What is wrong with the plan, from the outermost cause to the innermost.
    pub fn refused(&mut self, plan: &NetworkPlan) -> String {
        let refused = self.keeper.as_mut().expect("a keeper").set_network(plan, &[]);
        refused.map(|set| set.ports).expect_err("a failure").chain().join(": ")
    }

    /// Starts `role` of `in_box` in a box; see there.
    pub fn start_in_box(&self, namespace: &OwnedFd, role: &str) -> InBox {
        self.start_holding(namespace, role, Stdio::null())
    }

    pub fn start_holding(&self, namespace: &OwnedFd, role: &str, stdin: Stdio) -> InBox {
        let network = format!("--net=/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let mut child = Command::new("nsenter")
            .arg(format!("--user=/proc/{}/ns/user", self.pid))
            .args(["--preserve-credentials", &network, "--"])
            .arg(std::env::current_exe().expect("own path"))
            .args(["--exact", "in_box::play", "--ignored", "--nocapture"])
            .env("IN_BOX", role)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        InBox { child, said }
    }

    /// Starts a server and waits until it listens.
    pub fn listen_in_box(&self, namespace: &OwnedFd, role: &str) -> InBox {
        let mut server = self.start_in_box(namespace, role);
        server.wait_ready();
        server
    }

    /// What `role` says in the end.
    pub fn run_in_box(&self, namespace: &OwnedFd, role: &str) -> String {
        let mut all = String::new();
        self.start_in_box(namespace, role).said.read_to_string(&mut all).expect("its output");
        let line = all.lines().find_map(|line| line.split_once("SAYS ").map(|(_, said)| said.to_owned()));
        line.unwrap_or_else(|| panic!("{role}: {all}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            if std::thread::panicking() {
                eprintln!("log of the keeper:\n{}", self.log());
            }
            let _ = keeper.quit();
        }
    }
}

/// A program in a box, ended on drop.
pub struct InBox {
    pub child: Child,
    said: BufReader<ChildStdout>,
}

impl InBox {
    pub fn wait_ready(&mut self) {
        let mut line = String::new();
        while !line.contains("READY") {
            line.clear();
            assert!(self.said.read_line(&mut line).expect("its output") > 0, "it ended before it was ready");
        }
    }
}

impl Drop for InBox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host's number of the only published port of a box.
pub fn only_port(set: &NetworkSet, box_name: &str) -> u16 {
    let [PublishedPort { host_port, .. }] = set.ports[&name(box_name)].as_slice() else { panic!("{:?}", set.ports) };
    *host_port
}

//! What is said between `devenv` and a project's keeper, over the keeper's unix socket: one JSON line each way.

use super::{BoxName, PortRequest, ProjectId, Protocol, PublishedPort};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// How a keeper is started: one JSON document on its standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeeperStart {
    pub project: ProjectId,
    /// Build of the program that started it (`sys::linux::exe::build_id`).
    pub build: String,
    /// Boxes that outlived an earlier keeper, whose namespaces are taken over.
    pub survivors: Vec<Survivor>,
}

/// A running box whose first process holds what a new keeper needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survivor {
    pub name: BoxName,
    /// First process of the box; its network namespace is the box's.
    pub pid: u32,
    /// Descriptor of the project's router namespace in that process.
    pub router_descriptor: u32,
}

/// Asked of a keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum KeeperRequest {
    /// Who are you?
    Hello,
    /// Make the network so: boxes that are not named lose theirs; boxes that are there keep theirs untouched.
    SetNetwork(NetworkPlan),
    /// Wait until the network is as asked for last.
    Settle,
    /// A connection to a port of a box, made inside the box.
    Connect { name: BoxName, protocol: Protocol, port: u16 },
    /// Close all ports and end. Boxes are not touched.
    Quit,
}

/// The whole network of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Network address; the first address in it is the router's.
    pub subnet: Ipv4Addr,
    pub prefix: u8,
    /// Resolvers for names that are not boxes; empty: the host's `/etc/resolv.conf`, read when it changes.
    pub dns: Vec<IpAddr>,
    /// TCP ports of this computer's loopback that boxes reach at the router's address.
    #[serde(default)]
    pub loopback_ports: Vec<u16>,
    pub boxes: Vec<BoxNetwork>,
}

/// One box's part of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxNetwork {
    pub name: BoxName,
    pub address: Ipv4Addr,
    pub ports: Vec<PortRequest>,
    /// What it was given before: preferred where the request leaves a choice.
    pub remembered: Vec<PublishedPort>,
}

/// Answered by a keeper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum KeeperReply {
    Hello {
        build: String,
        pid: u32,
    },
    /// The network is being made as planned; what others could refuse is done. With this line travel descriptors
    /// (SCM_RIGHTS): the reading end of a pipe that gets a byte when the network is made, and ends without one when it
    /// could not be; the router's namespace; each box's in the order of the plan.
    Network {
        ports: BTreeMap<BoxName, Vec<PublishedPort>>,
        /// What the user should know ("port 8000 is taken; using 8001").
        notes: Vec<String>,
    },
    /// The network is as planned.
    Settled {
        /// What the user should know about this kernel.
        notes: Vec<String>,
    },
    /// With this line travels the connection (SCM_RIGHTS). UDP, where only an answer tells whether somebody listens: a
    /// socket for each address of the box that may be meant, the likeliest first.
    Connected,
    Quitting,
    /// A port that insists on its number is in use there; nothing changed. Who uses it the asker has to find out: the
    /// keeper's user namespace may not look into the host's processes.
    PortTaken {
        name: BoxName,
        request: PortRequest,
    },
    /// It could not be done and nothing changed. Outermost cause first.
    Failed {
        causes: Vec<String>,
        hint: Option<String>,
    },
}

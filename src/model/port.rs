//! Ports of boxes and where they appear on the host.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Where on the host a port listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortAddress {
    /// 127.0.0.1 and, where the host has it, ::1.
    Loopback,
    /// Just this address of the host.
    Address(IpAddr),
}

impl fmt::Display for PortAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortAddress::Loopback => f.write_str("127.0.0.1"),
            PortAddress::Address(address) => address.fmt(f),
        }
    }
}

/// Which number a port wants on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPort {
    /// The same number as in the box if it is free, else a free one that stays the same for this project.
    Preferred,
    /// This number or an error.
    Exactly(u16),
}

/// One port of a box that the file asks for. Ranges are one request a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRequest {
    pub address: PortAddress,
    pub host: HostPort,
    pub box_port: u16,
    pub protocol: Protocol,
}

/// A port that is published. The field names are those of `status --json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    pub address: PortAddress,
    #[serde(rename = "host")]
    pub host_port: u16,
    #[serde(rename = "box")]
    pub box_port: u16,
    pub protocol: Protocol,
}

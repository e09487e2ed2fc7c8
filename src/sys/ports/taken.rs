//! Telling that a port is taken, and by whom.

use super::holder;
use crate::model::{BoxName, Failure, HostPort, PortRequest};

/// Whoever holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    Process {
        pid: u32,
        name: String,
    },
    /// The user id of somebody whose processes we may not look into.
    User(u32),
}

/// The failure of a port that insists on its number.
pub fn describe_taken(name: &BoxName, request: &PortRequest) -> Failure {
    let HostPort::Exactly(port) = request.host else { return Failure::new("a port is taken") };
    let PortRequest { address, box_port, protocol, .. } = request;
    let what = format!("cannot publish port {box_port} of {name} at {address} port {port} ({protocol})");
    let why = match holder::find(*address, port, *protocol) {
        Some(Holder::Process { pid, name }) => format!("it is held by {name}, process {pid}"),
        Some(Holder::User(user)) => {
            format!("it is held by a process of another user (uid {user}), which cannot be looked into")
        }
        None => "it is taken".to_owned(),
    };
    Failure::because(what, why).hint(format!(
        "end that program, or write another number before the colon, or `{box_port}` alone for a free one"
    ))
}

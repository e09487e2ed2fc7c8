//! A connection to a port of a box, for somebody elsewhere.

use super::keeper::Keeper;
use super::site::Computer;
use crate::model::{BoxName, Failure, Kind, ProjectId, Protocol, Result};
use std::os::fd::OwnedFd;

/// Has the project's keeper make a connection inside the box. UDP: a socket for each address of the box that may be
/// meant, the likeliest first.
///
/// # Errors
/// The project or the box does not run, or nobody listens at that port.
pub fn open_connection(project: &ProjectId, name: &BoxName, protocol: Protocol, port: u16) -> Result<Vec<OwnedFd>> {
    let socket = Computer::look(None)?.layout.project(project).keeper_socket();
    let gone = || Failure::new(format!("the project {project} does not run")).kind(Kind::NotFound);
    Keeper::connect(&socket)?.ok_or_else(gone)?.open_connection(name, protocol, port)
}

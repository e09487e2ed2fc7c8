//! Local ports that lead to ports of boxes elsewhere.
//!
//! Numbers are chosen and kept as where boxes run on this computer (`sys::ports`). Behind each connection is a stream of
//! its own, opened when somebody connects; it ends with its port.

mod tcp;
mod udp;

use crate::model::{BoxName, PortRequest, Protocol, PublishedPort, Result};
use crate::sys::ports::{Board, Given, Listener, Refusal, Wanted, describe_taken};
use crate::sys::stream::Stream;
use crate::sys::task::Task;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Opens a connection to a port of a box: a stream as `model::far::Request::Connect` describes it.
pub type Open = Arc<dyn Fn(BoxName, Protocol, u16) -> BoxFuture<'static, Result<Stream>> + Send + Sync>;

/// What one box asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxPorts {
    pub name: BoxName,
    pub ports: Vec<PortRequest>,
    /// What it was given before: preferred where a request leaves a choice.
    pub remembered: Vec<PublishedPort>,
}

/// What is published after a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub ports: BTreeMap<BoxName, Vec<PublishedPort>>,
    /// What the user should know ("port 8000 is taken; using 8001").
    pub notes: Vec<String>,
}

/// The local ports of a project's boxes. Dropping it closes them.
pub struct Publisher {
    open: Open,
    board: Mutex<Board>,
}

impl Publisher {
    /// Publishes nothing yet.
    pub fn new(open: Open) -> Publisher {
        Publisher { open, board: Mutex::default() }
    }

    /// Publishes just what `boxes` ask for. Ports that are open already and still asked for are not touched, nor are
    /// their connections. To be called in a runtime.
    ///
    /// # Errors
    /// A number that is insisted on is taken (by whom is told where that can be known) or may not be used. Nothing has
    /// changed then.
    pub async fn set(&self, boxes: &[BoxPorts]) -> Result<Published> {
        let mut board = self.board.lock().await;
        let wanted: Vec<Wanted<'_>> = boxes
            .iter()
            .map(|b| Wanted { name: &b.name, ports: &b.ports, remembered: &b.remembered, stays: true })
            .collect();
        let change = board.prepare(&wanted, &mut Given::default()).map_err(|refusal| match refusal {
            Refusal::PortTaken { name, request } => describe_taken(&name, &request),
            Refusal::Failed(failure) => failure,
        })?;
        board.retire(&change).await;
        let notes = board.serve(change, |name, port, listener| Some(self.serve(name, port, listener)));
        let mut ports = board.ports();
        let named: BTreeSet<&BoxName> = boxes.iter().map(|b| &b.name).collect();
        ports.extend(
            named
                .into_iter()
                .filter(|name| !ports.contains_key(name))
                .map(|name| (name.clone(), vec![]))
                .collect::<Vec<_>>(),
        );
        Ok(Published { ports, notes })
    }

    /// Closes everything; when this returns the numbers are free.
    pub async fn close(&self) {
        // Nothing is opened, so nothing can fail.
        let _ = self.set(&[]).await;
    }

    fn serve(&self, name: &BoxName, port: u16, listener: Listener) -> Task {
        let target = Target { open: self.open.clone(), name: name.clone(), port };
        match listener {
            Listener::Tcp(listener) => Task::start(tcp::serve(listener, target)),
            Listener::Udp(socket) => Task::start(udp::serve(socket, target)),
        }
    }
}

/// The port of a box, and how to get there.
#[derive(Clone)]
struct Target {
    open: Open,
    name: BoxName,
    port: u16,
}

impl Target {
    async fn connect(&self, protocol: Protocol) -> Result<Stream> {
        (self.open)(self.name.clone(), protocol, self.port).await
    }
}

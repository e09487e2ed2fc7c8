//! What a keeper does when it is asked something.

use crate::model::wire::{KeeperReply, KeeperRequest, KeeperStart};
use crate::model::{BoxName, Failure, Kind, Protocol, Result, Trying};
use crate::network::{Given, ProjectNetwork, Refusal, Target};
use std::os::fd::OwnedFd;
use tokio::sync::Mutex;

/// A reply, and the descriptors that travel with it.
pub struct Answer {
    pub reply: KeeperReply,
    pub descriptors: Vec<OwnedFd>,
}

/// A running project, as its keeper sees it.
pub struct Supervision {
    build: String,
    network: Mutex<ProjectNetwork>,
}

impl Supervision {
    /// Begins, with the boxes that outlived an earlier keeper. Also returns what the log should hold.
    ///
    /// # Errors
    /// No thread can be started.
    pub async fn begin(start: KeeperStart) -> Result<(Supervision, Vec<String>)> {
        let mut network = ProjectNetwork::new()?;
        let problems = network.take_over(&start.survivors).await;
        Ok((Supervision { build: start.build, network: Mutex::new(network) }, problems))
    }

    /// Does what is asked, one request after the other. `given` are bound sockets that came with it.
    pub async fn answer(&self, request: KeeperRequest, given: Vec<OwnedFd>) -> Answer {
        let reply = match request {
            KeeperRequest::Hello => KeeperReply::Hello { build: self.build.clone(), pid: std::process::id() },
            KeeperRequest::Quit => KeeperReply::Quitting,
            KeeperRequest::SetNetwork(plan) => match self.network.lock().await.set(&plan, Given::new(given)).await {
                Ok(set) => {
                    let reply = KeeperReply::Network { ports: set.ports, notes: set.notes };
                    return Answer { reply, descriptors: set.namespaces };
                }
                Err(Refusal::PortTaken { name, request }) => KeeperReply::PortTaken { name, request },
                Err(Refusal::Failed(failure)) => fail(&failure),
            },
            KeeperRequest::Connect { name, protocol, port } => {
                let target = self.network.lock().await.target(&name, port);
                match connect(target, &name, protocol, port).await {
                    Ok(descriptors) => return Answer { reply: KeeperReply::Connected, descriptors },
                    Err(failure) => fail(&failure),
                }
            }
        };
        Answer { reply, descriptors: Vec::new() }
    }
}

async fn connect(target: Option<Target>, name: &BoxName, protocol: Protocol, port: u16) -> Result<Vec<OwnedFd>> {
    let target = target.ok_or_else(|| Failure::new(format!("box {name} does not run")).kind(Kind::NotFound))?;
    target.open(protocol).await.trying(|| format!("cannot connect to port {port} ({protocol}) of {name}"))
}

/// `failure` as a reply.
pub fn fail(failure: &Failure) -> KeeperReply {
    KeeperReply::Failed { causes: failure.chain(), hint: failure.get_hint().map(str::to_owned) }
}

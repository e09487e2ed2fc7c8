//! What a keeper does when it is asked something.

use crate::model::wire::{KeeperReply, KeeperRequest, KeeperStart, NetworkPlan};
use crate::model::{BoxName, Failure, Kind, Protocol, Result, Trying};
use crate::network::{ProjectNetwork, Target};
use crate::sys::linux::pipe;
use crate::sys::ports::{Given, Refusal};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A reply, and the descriptors that travel with it.
pub struct Answer {
    pub reply: KeeperReply,
    pub descriptors: Vec<OwnedFd>,
}

/// A running project, as its keeper sees it.
pub struct Supervision {
    build: String,
    /// Held while it is changed: whoever asks meanwhile waits.
    network: Arc<Mutex<Kept>>,
}

struct Kept {
    network: ProjectNetwork,
    /// How the last change ended.
    settled: KeeperReply,
}

impl Supervision {
    /// Begins, with the boxes that outlived an earlier keeper. Also returns what the log should hold.
    ///
    /// # Errors
    /// No thread can be started.
    pub async fn begin(start: KeeperStart) -> Result<(Supervision, Vec<String>)> {
        let mut network = ProjectNetwork::new()?;
        let problems = network.take_over(&start.survivors).await;
        let kept = Kept { network, settled: KeeperReply::Settled { notes: Vec::new() } };
        Ok((Supervision { build: start.build, network: Arc::new(Mutex::new(kept)) }, problems))
    }

    /// Does what is asked, one request after the other. `given` are bound sockets that came with it.
    pub async fn answer(&self, request: KeeperRequest, given: Vec<OwnedFd>) -> Answer {
        let reply = match request {
            KeeperRequest::Hello => KeeperReply::Hello { build: self.build.clone(), pid: std::process::id() },
            KeeperRequest::Quit => KeeperReply::Quitting,
            KeeperRequest::SetNetwork(plan) => match self.set_network(&plan, Given::new(given)).await {
                Ok(answer) => return answer,
                Err(Refusal::PortTaken { name, request }) => KeeperReply::PortTaken { name, request },
                Err(Refusal::Failed(failure)) => fail(&failure),
            },
            KeeperRequest::Settle => self.network.lock().await.settled.clone(),
            KeeperRequest::Connect { name, protocol, port } => {
                let target = self.network.lock().await.network.target(&name, port);
                match connect(target, &name, protocol, port).await {
                    Ok(descriptors) => return Answer { reply: KeeperReply::Connected, descriptors },
                    Err(failure) => fail(&failure),
                }
            }
        };
        Answer { reply, descriptors: Vec::new() }
    }

    /// Answers when the namespaces and ports are there; the rest is done meanwhile.
    async fn set_network(&self, plan: &NetworkPlan, given: Given) -> std::result::Result<Answer, Refusal> {
        let mut kept = self.network.clone().lock_owned().await;
        let (begun, rest) = kept.network.begin(plan, given).await?;
        let (settled, tell) = pipe::new()?;
        tokio::spawn(async move {
            match kept.network.finish(rest).await {
                Ok(notes) => {
                    kept.settled = KeeperReply::Settled { notes };
                    // Nobody may be waiting.
                    let _ = File::from(tell).write_all(b"x");
                }
                Err(failure) => kept.settled = fail(&failure),
            }
        });
        let reply = KeeperReply::Network { ports: begun.ports, notes: begun.notes };
        Ok(Answer { reply, descriptors: [settled].into_iter().chain(begun.namespaces).collect() })
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

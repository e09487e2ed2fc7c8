//! Ports of boxes on the host: which number each gets, and serving it.

use super::bind::{Bound, Given, Listener, bind};
use crate::model::{BoxName, Failure, HostPort, PortAddress, PortRequest, Protocol, PublishedPort};
use crate::sys::task::Task;
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// How far above a taken number a free one is looked for before any free one will do.
const NEIGHBOURS: u16 = 100;
/// Below this only root may bind; a free number for one of these is looked for this much higher: 80 gives 8080.
const PRIVILEGED: u16 = 1024;
const ABOVE_PRIVILEGED: u16 = 8000;

/// What tells published ports of the host apart.
pub type Place = (PortAddress, u16, Protocol);

/// The place a request insists on.
pub fn exact_place(request: &PortRequest) -> Option<Place> {
    match request.host {
        HostPort::Exactly(number) => Some((request.address, number, request.protocol)),
        HostPort::Preferred => None,
    }
}

/// Why ports were not opened.
pub enum Refusal {
    /// A port that has to be at one number is in use there.
    PortTaken {
        name: BoxName,
        request: PortRequest,
    },
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::Failed(failure)
    }
}

/// A port that is published.
pub struct Publication {
    pub request: PortRequest,
    pub port: PublishedPort,
    bound: Bound,
    serving: Vec<Task>,
}

impl Publication {
    pub fn place(&self) -> Place {
        (self.port.address, self.port.host_port, self.port.protocol)
    }

    /// Ends it; when this returns its number is free, unless the sockets were taken over.
    pub async fn close(self) {
        for task in self.serving {
            task.end().await;
        }
    }

    /// Its sockets, for another box to take over.
    pub fn bound(&self) -> Bound {
        self.bound.clone()
    }
}

/// A port whose sockets are there and that is not served yet.
pub struct Opening {
    request: PortRequest,
    pub port: PublishedPort,
    bound: Bound,
    pub note: Option<String>,
}

impl Opening {
    /// Opens what `request` of the box `name` asks for. `spare` are sockets of ours that lose their use.
    ///
    /// # Errors
    /// The number is taken or may not be used, and there is no choice.
    pub fn open(
        name: &BoxName,
        request: &PortRequest,
        remembered: &[PublishedPort],
        spare: &mut BTreeMap<Place, Bound>,
        given: &mut Given,
    ) -> Result<Opening, Refusal> {
        let PortRequest { address, protocol, box_port, .. } = *request;
        for number in numbers(request, remembered) {
            let bound = match spare.remove(&(address, number, protocol)) {
                Some(bound) => Ok(bound),
                None => bind(address, number, protocol, given),
            };
            match bound {
                Ok(bound) => {
                    let port = PublishedPort { address, host_port: bound.port, box_port, protocol };
                    let note = describe_choice(name, request, &port, remembered);
                    return Ok(Opening { request: *request, port, bound, note });
                }
                Err(error) => match (error.kind(), request.host) {
                    (ErrorKind::AddrInUse | ErrorKind::PermissionDenied, HostPort::Preferred) => {}
                    (ErrorKind::AddrInUse, HostPort::Exactly(_)) => {
                        return Err(Refusal::PortTaken { name: name.clone(), request: *request });
                    }
                    _ => return Err(Refusal::Failed(explain(name, request, number, error))),
                },
            }
        }
        Err(Refusal::Failed(Failure::new(format!("no free port is left on {address} for port {box_port} of {name}"))))
    }

    /// Serves it from now on; `serve` starts that for a port of the box.
    pub fn serve(self, serve: impl Fn(u16, Listener) -> Option<Task>) -> Publication {
        let listeners = self.bound.listeners.iter().cloned();
        let serving = listeners.filter_map(|listener| serve(self.request.box_port, listener)).collect();
        Publication { request: self.request, port: self.port, bound: self.bound, serving }
    }
}

/// The numbers to try, in order; 0 is any free one.
fn numbers(request: &PortRequest, remembered: &[PublishedPort]) -> Vec<u16> {
    if let HostPort::Exactly(number) = request.host {
        return vec![number];
    }
    let wanted = request.box_port;
    let first = if wanted < PRIVILEGED { wanted + ABOVE_PRIVILEGED } else { wanted.saturating_add(1) };
    let mut numbers: Vec<u16> = recall(request, remembered).into_iter().collect();
    numbers.extend([wanted].into_iter().chain(first..=first.saturating_add(NEIGHBOURS)));
    numbers.push(0);
    numbers
}

/// The number the same port had before.
fn recall(request: &PortRequest, remembered: &[PublishedPort]) -> Option<u16> {
    let same = |port: &&PublishedPort| {
        (port.address, port.box_port, port.protocol) == (request.address, request.box_port, request.protocol)
    };
    remembered.iter().find(same).map(|port| port.host_port)
}

/// What to tell when the number is not the one a person expects.
fn describe_choice(
    name: &BoxName,
    request: &PortRequest,
    port: &PublishedPort,
    remembered: &[PublishedPort],
) -> Option<String> {
    let expected = recall(request, remembered).unwrap_or(request.box_port);
    let chosen = port.host_port;
    (request.host == HostPort::Preferred && chosen != expected).then(|| {
        let why = if expected < PRIVILEGED { "is taken or needs root" } else { "is taken" };
        format!("port {expected} {why} on this computer; port {} of {name} is at {chosen}", request.box_port)
    })
}

fn explain(name: &BoxName, request: &PortRequest, number: u16, error: std::io::Error) -> Failure {
    let PortRequest { address, box_port, .. } = request;
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => Some("ports below 1024 need root; choose a higher one as HOST:BOX".to_owned()),
        ErrorKind::AddrNotAvailable => Some(format!("this computer has no address {address}; `ip address` lists them")),
        _ => None,
    };
    let failure =
        Failure::because(format!("cannot publish port {box_port} of {name} at {address} port {number}"), error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_then_the_same_then_near_then_any() {
        let request =
            |host, box_port| PortRequest { address: PortAddress::Loopback, host, box_port, protocol: Protocol::Tcp };
        let remembered = [PublishedPort {
            address: PortAddress::Loopback,
            host_port: 9123,
            box_port: 8000,
            protocol: Protocol::Tcp,
        }];
        assert_eq!(numbers(&request(HostPort::Exactly(5), 8000), &remembered), [5]);
        let tried = numbers(&request(HostPort::Preferred, 8000), &remembered);
        assert_eq!((&tried[..3], tried.last()), (&[9123, 8000, 8001][..], Some(&0)));
        let tried = numbers(&request(HostPort::Preferred, 80), &remembered);
        assert_eq!(&tried[..3], [80, 8080, 8081]);
        assert_eq!(numbers(&request(HostPort::Preferred, 65535), &[])[0], 65535);
    }
}

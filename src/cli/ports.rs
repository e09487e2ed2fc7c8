//! `devenv ports`

use super::Caller;
use super::table::Table;
use crate::model::{PortAddress, PublishedPort, Result};
use crate::ops::verbs;
use std::net::IpAddr;

pub fn run(caller: &Caller) -> Result<u8> {
    let status = verbs::status(&caller.context)?;
    let ports = || status.boxes.iter().flat_map(|wanted| wanted.ports.iter().map(|port| (wanted.name.clone(), port)));
    if caller.json {
        let with_box = |(name, port): (String, &PublishedPort)| {
            serde_json::json!({
                "name": name,
                "address": port.address.to_string(),
                "host": port.host_port,
                "box": port.box_port,
                "protocol": port.protocol,
            })
        };
        caller.ui.print_json(&ports().map(with_box).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let mut table = Table::new(["BOX", "PORT", "HERE"]);
    for (name, port) in ports() {
        table.row([name, format!("{}/{}", port.box_port, port.protocol), host_side(port)]);
    }
    if table.is_empty() {
        caller.context.events.note("no ports are published");
    } else {
        caller.ui.print(&table.to_string())?;
    }
    Ok(0)
}

/// `127.0.0.1:8080`, or `[::1]:8080`.
pub fn host_side(port: &PublishedPort) -> String {
    match port.address {
        PortAddress::Address(IpAddr::V6(address)) => format!("[{address}]:{}", port.host_port),
        address => format!("{address}:{}", port.host_port),
    }
}

//! `devenv status`

use super::Caller;
use super::age::age;
use super::table::Table;
use crate::model::Result;
use crate::model::status::{BoxState, BoxStatus, Status};
use crate::ops::verbs;

pub fn run(caller: &Caller) -> Result<u8> {
    let status = verbs::status(&caller.context)?;
    print(caller, &status)?;
    Ok(0)
}

/// Prints the boxes of a project.
pub fn print(caller: &Caller, status: &Status) -> Result<()> {
    if caller.json {
        return caller.ui.print_json(status);
    }
    caller.ui.print(&text(status, super::age::now_seconds()))
}

/// The boxes as a table, and below it what is loosened.
fn text(status: &Status, now_seconds: u64) -> String {
    let mut table = Table::new(["BOX", "STATE", "IMAGE", "ADDRESS", "PORTS"]);
    for wanted in &status.boxes {
        table.row([
            wanted.name.clone(),
            state(wanted, now_seconds),
            wanted.image.clone(),
            wanted.ip.clone().unwrap_or_else(|| "-".into()),
            ports(wanted),
        ]);
    }
    let mut text = format!("{} in {} ({})\n\n{table}", status.project, status.path.display(), status.place);
    for wanted in status.boxes.iter().filter(|wanted| !wanted.loosened.is_empty()) {
        text.push_str(&format!("\n{} is loosened: {}\n", wanted.name, wanted.loosened.join(", ")));
    }
    text
}

fn state(wanted: &BoxStatus, now_seconds: u64) -> String {
    match (wanted.state, wanted.exit_code) {
        (BoxState::Exited, Some(code)) => format!("exited ({code})"),
        (BoxState::Running, _) => match wanted.started_at.as_deref().and_then(|start| age(start, now_seconds)) {
            Some(age) => format!("running {age}"),
            None => "running".to_owned(),
        },
        (state, _) => state.to_string(),
    }
}

/// `127.0.0.1:8080->80`, joined; `-` when there is none.
fn ports(wanted: &BoxStatus) -> String {
    let one = |port: &crate::model::PublishedPort| {
        let protocol = if port.protocol == crate::model::Protocol::Udp { "/udp" } else { "" };
        format!("{}->{}{protocol}", super::ports::host_side(port), port.box_port)
    };
    let all: Vec<String> = wanted.ports.iter().map(one).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortAddress, Protocol, PublishedPort};

    fn one(name: &str, state: BoxState) -> BoxStatus {
        BoxStatus { state, ..BoxStatus::absent(name, "docker.io/library/debian:bookworm") }
    }

    #[test]
    fn the_table_says_what_runs_where() {
        let port = |host_port, box_port, protocol| PublishedPort {
            address: PortAddress::Loopback,
            host_port,
            box_port,
            protocol,
        };
        let dev = BoxStatus {
            ip: Some("10.1.2.3".into()),
            started_at: Some("2026-01-01T00:00:00Z".into()),
            ports: vec![port(8000, 8000, Protocol::Tcp), port(5353, 53, Protocol::Udp)],
            loosened: vec!["CAP_NET_ADMIN".into()],
            ..one("dev", BoxState::Running)
        };
        let job = BoxStatus { exit_code: Some(1), ..one("job", BoxState::Exited) };
        let boxes = vec![dev, job, one("database", BoxState::Stopped)];
        let status = Status { project: "shop".into(), path: "/home/me/shop".into(), place: "here".into(), boxes };
        // 2026-01-01 00:00 UTC and two hours.
        insta::assert_snapshot!(text(&status, 1_767_225_600 + 7200));
    }
}

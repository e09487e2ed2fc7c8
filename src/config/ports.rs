//! `ports`: `BOX`, `HOST:BOX`, `ADDRESS:HOST:BOX`, `/udp`, ranges.

use super::place::Span;
use super::problem::{Problem, Problems};
use crate::model::{BoxName, HostPort, PortAddress, PortRequest, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

const GRAMMAR: &str = "written BOX, HOST:BOX or ADDRESS:HOST:BOX, as \"8000\", \"8080:80\", \"127.0.0.1:5353:53/udp\"";

/// One entry as requests, one a port.
///
/// # Errors
/// Says which part is wrong.
pub fn parse_ports(text: &str) -> Result<Vec<PortRequest>, (String, Option<&'static str>)> {
    let (numbers, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((numbers, "tcp")) => (numbers, Protocol::Tcp),
        Some((numbers, "udp")) => (numbers, Protocol::Udp),
        Some((_, other)) => return Err((format!("\"{other}\" is not a protocol"), Some("it is `tcp` or `udp`"))),
    };
    let (before, box_ports) = match numbers.rsplit_once(':') {
        None => (None, numbers),
        Some((before, box_ports)) => (Some(before), box_ports),
    };
    let (address, host_ports) = match before.map(|before| before.rsplit_once(':').ok_or(before)) {
        None => (PortAddress::Loopback, None),
        Some(Err(host)) => (PortAddress::Loopback, Some(host)),
        Some(Ok((address, host))) => (parse_address(address)?, Some(host)),
    };
    let box_ports = parse_range(box_ports)?;
    let Some(host_ports) = host_ports.map(parse_range).transpose()? else {
        let wanted = |box_port| PortRequest { address, host: HostPort::Preferred, box_port, protocol };
        return Ok(box_ports.map(wanted).collect());
    };
    if host_ports.len() != box_ports.len() {
        let what = format!("{} host ports for {} box ports", host_ports.len(), box_ports.len());
        return Err((what, Some("both ranges must be equally long")));
    }
    let wanted = |(host, box_port)| PortRequest { address, host: HostPort::Exactly(host), box_port, protocol };
    Ok(host_ports.zip(box_ports).map(wanted).collect())
}

fn parse_address(text: &str) -> Result<PortAddress, (String, Option<&'static str>)> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare == "localhost" {
        return Ok(PortAddress::Loopback);
    }
    let hint = "an address of this computer, as `127.0.0.1`, `0.0.0.0` for all, or `[::1]`";
    bare.parse::<IpAddr>().map(PortAddress::Address).map_err(|_| (format!("\"{text}\" is not an address"), Some(hint)))
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, (String, Option<&'static str>)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().filter(|&number| number > 0)
    };
    let (Some(start), Some(end)) = (number(first), number(last)) else {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !text.is_empty();
        let hint = if digits { "a port is a number from 1 to 65535" } else { GRAMMAR };
        return Err((format!("\"{text}\" is not a port"), Some(hint)));
    };
    if start > end {
        return Err((format!("the range \"{text}\" ends before it begins"), None));
    }
    Ok(start..=end)
}

/// A port and where it was asked for.
pub struct AskedPort {
    pub owner: BoxName,
    pub request: PortRequest,
    pub span: Span,
}

/// Ports that two entries of the project ask for at the same place.
pub fn check_clashes(asked: &[AskedPort], problems: &mut Problems) {
    let mut by_number: BTreeMap<_, Vec<&AskedPort>> = BTreeMap::new();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for later in asked {
        let box_port = match later.request.host {
            HostPort::Exactly(_) => 0,
            HostPort::Preferred => later.request.box_port,
        };
        let same_number = by_number.entry((later.request.protocol, later.request.host, box_port)).or_default();
        // A range is told once.
        if let Some(earlier) = same_number.iter().find(|earlier| clash(earlier, later))
            && told.insert(later.span.start)
        {
            problems.add(clash_problem(earlier, later));
        }
        same_number.push(later);
    }
}

fn clash_problem(earlier: &AskedPort, later: &AskedPort) -> Problem {
    let protocol = later.request.protocol;
    let what = match later.request.host {
        HostPort::Exactly(port) => format!("port {port}/{protocol} of this computer is wanted twice"),
        HostPort::Preferred => format!("port {}/{protocol} of the box is wanted twice", later.request.box_port),
    };
    Problem::at(later.span.clone(), what).label(format!("box `{}` has it already", earlier.owner))
}

fn clash(one: &AskedPort, other: &AskedPort) -> bool {
    let (a, b) = (&one.request, &other.request);
    if a.protocol != b.protocol || !overlap(a.address, b.address) {
        return false;
    }
    // Two boxes may prefer the same number: the second gets another one.
    a.host != HostPort::Preferred || one.owner == other.owner
}

fn overlap(a: PortAddress, b: PortAddress) -> bool {
    let covers = |a: PortAddress, b: PortAddress| match (a, b) {
        (PortAddress::Loopback, PortAddress::Address(address)) => address.is_loopback(),
        (PortAddress::Address(address), PortAddress::Loopback) => address.is_unspecified(),
        (PortAddress::Address(a), PortAddress::Address(b)) => a.is_unspecified() && a.is_ipv4() == b.is_ipv4(),
        (PortAddress::Loopback, PortAddress::Loopback) => true,
    };
    a == b || covers(a, b) || covers(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let one = |request: &PortRequest| {
            let host = match request.host {
                HostPort::Preferred => "~".to_owned(),
                HostPort::Exactly(port) => port.to_string(),
            };
            format!("{} {host}>{} {}", request.address, request.box_port, request.protocol)
        };
        parse_ports(text).map(|requests| requests.iter().map(one).collect()).unwrap_or_else(|(what, _)| vec![what])
    }

    #[test]
    fn every_form_is_understood() {
        for (text, wanted) in [
            ("8000", vec!["127.0.0.1 ~>8000 tcp"]),
            ("8080:80", vec!["127.0.0.1 8080>80 tcp"]),
            ("127.0.0.1:5353:53/udp", vec!["127.0.0.1 5353>53 udp"]),
            ("[::1]:1:2", vec!["::1 1>2 tcp"]),
            ("0.0.0.0:1:2/tcp", vec!["0.0.0.0 1>2 tcp"]),
            ("9000-9001:80-81", vec!["127.0.0.1 9000>80 tcp", "127.0.0.1 9001>81 tcp"]),
            ("7-8/udp", vec!["127.0.0.1 ~>7 udp", "127.0.0.1 ~>8 udp"]),
        ] {
            assert_eq!(told(text), wanted, "{text}");
        }
    }

    #[test]
    fn wrong_forms_say_which_part() {
        for (text, what) in [
            ("", "\"\" is not a port"),
            ("web", "\"web\" is not a port"),
            ("0", "\"0\" is not a port"),
            ("65536", "\"65536\" is not a port"),
            ("80/sctp", "\"sctp\" is not a protocol"),
            ("x:1:2", "\"x\" is not an address"),
            ("1-2:3-5", "2 host ports for 3 box ports"),
            ("5-1", "the range \"5-1\" ends before it begins"),
            ("+80", "\"+80\" is not a port"),
            ("80:", "\"\" is not a port"),
        ] {
            assert_eq!(told(text), [what], "{text}");
        }
    }
}

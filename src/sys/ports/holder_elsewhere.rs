//! Who holds a port of this computer, as far as lsof(8) tells this user.

use super::taken::Holder;
use crate::model::{PortAddress, Protocol};
use crate::sys::command;
use std::time::Duration;

/// It asks about every process of this user.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who holds `port`; `None` when nobody seems to, or lsof is not there.
pub fn find(_: PortAddress, port: u16, protocol: Protocol) -> Option<Holder> {
    let which = format!("-i{protocol}:{port}");
    let mut words = vec!["-nP", "-Fpcu", &which];
    if protocol == Protocol::Tcp {
        words.push("-sTCP:LISTEN");
    }
    read(&String::from_utf8_lossy(&command::run("lsof", &words, &[], PATIENCE).ok()?.output))
}

/// Lines of one field each, named by their first letter (lsof(8), OUTPUT FOR OTHER PROGRAMS).
fn read(text: &str) -> Option<Holder> {
    let field = |letter| text.lines().find_map(|line| line.strip_prefix(letter));
    let pid = field('p')?.parse().ok()?;
    Some(Holder::Process { pid, name: field('c').unwrap_or("a program").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_is_named() {
        let holder = Holder::Process { pid: 4242, name: "python3".into() };
        assert_eq!(read("p4242\ncpython3\nu501\nf5\n"), Some(holder));
        assert_eq!(read(""), None);
    }
}

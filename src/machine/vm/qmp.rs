//! QEMU's monitor: JSON, a line each way, over a unix socket (QEMU, docs/interop/qmp-spec.rst).

use crate::model::{Failure, Result, Trying};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest line taken: answers to what is asked here have a few hundred bytes.
const LONGEST_LINE_BYTES: u64 = 1 << 20;
/// Events may stand before an answer, but not for ever.
const MOST_EVENTS: usize = 1000;

/// A connection to the monitor.
pub struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects, waiting at most `patience` for each answer.
    ///
    /// # Errors
    /// Nobody listens, or QEMU does not answer: its process may be stopped.
    pub fn connect(socket: &Path, patience: Duration) -> Result<Monitor> {
        let trying = || format!("cannot reach QEMU's monitor at {}", socket.display());
        let stream = UnixStream::connect(socket).trying(trying)?;
        stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)))
            .trying(trying)?;
        let mut monitor = Monitor { reader: BufReader::new(stream) };
        let greeting = monitor.line().trying(trying)?;
        if greeting.get("QMP").is_none() {
            return Err(Failure::because(trying(), Failure::new("what answers there is not QEMU")));
        }
        monitor.execute("qmp_capabilities", json!({})).trying(trying)?;
        Ok(monitor)
    }

    /// Whether the processors run: `running`, `paused`, `io-error` and others (QEMU, RunState).
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn state(&mut self) -> Result<String> {
        let answer = self.execute("query-status", json!({}))?;
        Ok(answer["status"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Has the processors run again.
    ///
    /// # Errors
    /// QEMU refuses or does not answer.
    pub fn go_on(&mut self) -> Result<()> {
        self.execute("cont", json!({})).map(|_| ())
    }

    /// Ends QEMU; what the guest has not written is lost.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", json!({})).map(|_| ())
    }

    /// Tells the guest that its disk `node` has this size now.
    ///
    /// # Errors
    /// QEMU refuses or does not answer.
    pub fn resize(&mut self, node: &str, size_bytes: u64) -> Result<()> {
        self.execute("block_resize", json!({"node-name": node, "size": size_bytes})).map(|_| ())
    }

    /// Port of this computer that leads to the guest's SSH server.
    ///
    /// # Errors
    /// QEMU does not answer, or forwards none.
    pub fn forwarded_port(&mut self) -> Result<u16> {
        // No command of the machine protocol tells it.
        let answer = self.execute("human-monitor-command", json!({"command-line": "info usernet"}))?;
        let text = answer.as_str().unwrap_or_default();
        host_port(text).ok_or_else(|| Failure::new("QEMU does not tell which port leads to the guest"))
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let trying = || format!("QEMU's monitor does not answer \"{command}\"");
        let mut request = json!({"execute": command, "arguments": arguments}).to_string();
        request.push('\n');
        self.reader.get_mut().write_all(request.as_bytes()).trying(trying)?;
        for _ in 0..MOST_EVENTS {
            let mut answer = self.line().trying(trying)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let why = error["desc"].as_str().unwrap_or("it does not say why").to_owned();
                return Err(Failure::because(format!("QEMU refuses \"{command}\""), why));
            }
        }
        Err(Failure::new(trying()))
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(Failure::new("it hung up")),
            Ok(_) => serde_json::from_slice(&line).trying(|| "what it says is no JSON"),
            Err(error) => Err(Failure::because("it says nothing", error)),
        }
    }
}

/// The host's port in what `info usernet` prints: state, descriptor, source address and port, …
fn host_port(text: &str) -> Option<u16> {
    let line = text.lines().find(|line| line.contains("[HOST_FORWARD]"))?;
    line.split_whitespace().nth(3)?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_forwarded_port_is_read() {
        let text = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
            TCP[HOST_FORWARD]  13       127.0.0.1 40123       10.0.2.15    22     0     0\r\n";
        assert_eq!(host_port(text), Some(40123));
        assert_eq!(host_port("TCP[HOST_FORWARD]  13"), None);
        assert_eq!(host_port(""), None);
    }

    #[test]
    fn events_are_passed_over_and_refusals_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut asked = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut answer = |text: &str| {
                asked.next().unwrap().unwrap();
                stream.write_all(text.as_bytes()).unwrap();
            };
            answer("{\"return\": {}}\n");
            answer("{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"paused\"}}\n");
            answer("{\"error\": {\"desc\": \"no such thing\"}}\n");
        });
        let mut monitor = Monitor::connect(&socket, Duration::from_secs(5)).unwrap();
        assert_eq!(monitor.state().unwrap(), "paused");
        assert_eq!(monitor.go_on().unwrap_err().chain(), ["QEMU refuses \"cont\"", "no such thing"]);
        server.join().unwrap();
        assert!(monitor.quit().is_err());
    }
}

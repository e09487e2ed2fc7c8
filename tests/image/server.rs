//! A registry written by hand that can misbehave: real TCP, one request a connection.

use crate::make::{Made, digest};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// First byte of the range asked for.
    pub fn from(&self) -> usize {
        let range = self.header("range").strip_prefix("bytes=");
        range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
    }
}

#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close after so many bytes of the body.
    pub cut_at: Option<usize>,
    /// At the cut, say nothing any more instead of closing.
    pub hang: bool,
}

pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), cut_at: None, hang: false }
}

impl Answer {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut(mut self, at: usize) -> Answer {
        self.cut_at = Some(at);
        self
    }
}

/// A server; it ends with the test process.
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&asked), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                // A client that goes away is part of the tests.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &log, &*handler)));
            }
        });
        Server { port, asked }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Requests so far whose path contains a text.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    handler: &(dyn Fn(&Asked) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let path = words.nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let asked = Asked { path, headers };
    let answer = handler(&asked);
    log.lock().unwrap().push(asked);
    send(stream, &answer)
}

fn send(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    head += &format!("content-length: {}\r\n", answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = answer.cut_at.unwrap_or(answer.body.len()).min(answer.body.len());
    stream.write_all(&answer.body[..end])?;
    if answer.hang {
        // Until the client gives up.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let _ = stream.read(&mut [0]);
    }
    Ok(())
}

/// What a well-behaved registry says: any tag of any repository is the image.
pub fn well_behaved(made: &Made, asked: &Asked) -> Answer {
    let name = asked.path.rsplit('/').next().unwrap();
    if asked.path == "/v2/" {
        return answer(200, "{}");
    }
    if asked.path.contains("/manifests/") {
        let body = made.blobs.get(name).unwrap_or(&made.manifest).clone();
        return answer(200, body.clone()).header("docker-content-digest", digest(&body));
    }
    match made.blobs.get(name) {
        None => answer(404, r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"unknown"}]}"#),
        Some(blob) if asked.from() > 0 => {
            let (from, last) = (asked.from(), blob.len() - 1);
            answer(206, &blob[from..]).header("content-range", format!("bytes {from}-{last}/{}", blob.len()))
        }
        Some(blob) => answer(200, blob.clone()),
    }
}

//! A far side that connects each stream to a server on this computer.

use devenv::model::{BoxName, Failure, HostPort, PortAddress, PortRequest, Protocol};
use devenv::sys::datagram::{hear_framed, speak_framed};
use devenv::sys::mux;
use devenv::sys::pipe_inlet::PipeInlet;
use devenv::sys::pipe_outlet::PipeOutlet;
use devenv::sys::relay;
use devenv::sys::stream::Stream;
use devenv::tunnel::{BoxPorts, Open, Published, Publisher};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// What carries the streams; taken away, the line is dead.
pub type Line = Arc<Mutex<Option<mux::Opener>>>;

/// A connection whose far side connects to the port that the first bytes of a stream name.
pub fn line() -> Line {
    // As with ssh: a pipe each way.
    let ((far_reads, near_writes), (near_reads, far_writes)) = (pipe(), pipe());
    let mut accepter = mux::accept_between(far_reads, far_writes);
    tokio::spawn(async move {
        while let Some(mut stream) = accepter.accept().await {
            tokio::spawn(async move {
                let (protocol, port) = (stream.read_u8().await?, stream.read_u16().await?);
                if protocol == 0 {
                    return relay::join(TcpStream::connect(("127.0.0.1", port)).await?, stream).await;
                }
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(("127.0.0.1", port)).await?;
                let (said, answers) = tokio::io::split(stream);
                let (mut said, answers) = (hear_framed(said), speak_framed(answers));
                let mut buffer = [0; 65536];
                loop {
                    tokio::select! {
                        datagram = said.recv() => match datagram {
                            Some(datagram) => drop(socket.send(&datagram).await?),
                            None => return Ok(()),
                        },
                        length = socket.recv(&mut buffer) => drop(answers.send(buffer[..length?].to_vec()).await),
                    }
                }
            });
        }
    });
    Arc::new(Mutex::new(Some(mux::open_between(near_reads, near_writes))))
}

fn pipe() -> (PipeInlet, PipeOutlet) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let read = PipeInlet::new(read.into(), Vec::new()).expect("a pipe's end");
    (read, PipeOutlet::new(write.into()).expect("a pipe's end"))
}

pub fn publisher(line: &Line) -> Publisher {
    let line = line.clone();
    let open: Open = Arc::new(move |_: BoxName, protocol: Protocol, port: u16| {
        let opened = line.lock().unwrap().as_ref().map(mux::Opener::open);
        Box::pin(async move {
            let Some(Ok(mut stream)) = opened else { return Err(Failure::new("the line is dead")) };
            let head = [u8::from(protocol == Protocol::Udp), (port >> 8) as u8, port as u8];
            stream.write_all(&head).await.map_err(|error| Failure::because("the line is dead", error))?;
            Ok(Box::new(stream) as Stream)
        })
    });
    Publisher::new(open)
}

pub fn request(host: HostPort, box_port: u16, protocol: Protocol) -> PortRequest {
    PortRequest { address: PortAddress::Loopback, host, box_port, protocol }
}

pub fn wanted(name: &str, ports: &[PortRequest]) -> BoxPorts {
    BoxPorts { name: BoxName::new(name).unwrap(), ports: ports.to_vec(), remembered: Vec::new() }
}

/// The host's numbers of a box's ports.
pub fn numbers(published: &Published, name: &str) -> Vec<u16> {
    published.ports[&BoxName::new(name).unwrap()].iter().map(|port| port.host_port).collect()
}

//! What an agent over there answers.

use crate::sshd::{Sshd, World, run};
use devenv::machine::Line;
use devenv::machine::remote::{Program, RemoteLine};
use devenv::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use devenv::model::{BoxName, HostPort, PortAddress, PortRequest, ProjectId, Protocol};
use devenv::sys::datagram::{read_framed, write_framed};
use devenv::sys::framed::{read_document, write_document};
use devenv::sys::stream::Stream;
use devenv::tunnel::{BoxPorts, Open, Publisher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn ask(line: &dyn Line, request: &Request) -> (Answer, Stream) {
    let mut stream = line.open().await.expect("a stream");
    write_document(&mut stream, request).await.expect("asked");
    let answer = read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.expect("an answer");
    (answer, stream)
}

#[tokio::test]
async fn the_program_is_put_there_once_and_says_hello() {
    let (world, sshd) = (World::get(), Sshd::start());
    let program = [Program::in_file(&world.program, std::env::consts::ARCH).expect("a program")];
    for _ in 0..2 {
        let line = sshd.connect(&program).await.unwrap_or_else(|failure| panic!("{:?}", failure.chain()));
        let (answer, _) = ask(&line, &Request::Hello).await;
        assert!(matches!(answer, Answer::Hello { architecture, .. } if architecture == std::env::consts::ARCH));
        assert!(sshd.place(&program[0]).is_file());
    }
}

/// A server in a box that says back what it hears, and ends when its client has said all. It listens on the box's own
/// loopback address only.
const ECHO: &str = r#"
import socket, threading
def tcp(client):
    while data := client.recv(65536):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)
def udp(server):
    while True:
        data, client = server.recvfrom(65536)
        server.sendto(data, client)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 7))
threading.Thread(target=udp, args=(datagrams,), daemon=True).start()
server = socket.create_server(("127.0.0.1", 7), backlog=4096)
while True:
    threading.Thread(target=tcp, args=(server.accept()[0],), daemon=True).start()
"#;

/// A project that runs over there, brought down on drop.
pub struct Running {
    folder: String,
    state: String,
    id: ProjectId,
}

impl Running {
    fn up(sshd: &Sshd) -> Running {
        Running::up_with(sshd, "image = \"host\"\nmounts = [\".:/src\"]\ncommand = [\"python3\", \"/src/echo.py\"]\n")
    }

    pub fn up_with(sshd: &Sshd, file: &str) -> Running {
        let (world, folder) = (World::get(), sshd.folder.join("state/project"));
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            let script = "mkdir -p \"$(dirname \"$1\")\" && printf %s \"$2\" > \"$1\"";
            run(world.as_user(&["sh", "-c", script, "sh", path.to_str().expect("a path"), content]).env("LC_ALL", "C"));
        };
        write("echo.py", ECHO);
        write("devenv.toml", file);
        let running = Running {
            id: ProjectId::of_folder(&folder),
            folder: folder.display().to_string(),
            state: format!("DEVENV_HOME={}/state", sshd.folder.display()),
        };
        running.devenv("up");
        running
    }

    fn devenv(&self, verb: &str) {
        let program = World::get().program.display().to_string();
        run(&mut World::get().as_user(&["env", &self.state, &program, "-C", &self.folder, verb]));
    }

    fn connect(&self, protocol: Protocol, port: u16) -> Request {
        Request::Connect { project: self.id.clone(), name: BoxName::dev(), protocol, port }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.devenv("down");
    }
}

#[tokio::test]
async fn ports_of_a_box_over_there_are_reached() {
    let (world, sshd) = (World::get(), Sshd::start());
    let running = Running::up(&sshd);
    let line = Arc::new(sshd.connect(&[world.stand_in("connect")]).await.expect("a line"));

    let mut stream = reach(&*line, &running.connect(Protocol::Tcp, 7)).await;
    let said = vec![b'x'; 1 << 20];
    let mut heard = Vec::new();
    let (mut hears, mut says) = tokio::io::split(&mut stream);
    let saying = async {
        says.write_all(&said).await.expect("said");
        says.shutdown().await.expect("said all");
    };
    let (read, ()) = tokio::join!(hears.read_to_end(&mut heard), saying);
    read.expect("heard all");
    assert!(heard == said, "{} of {} bytes", heard.len(), said.len());

    let mut stream = reach(&*line, &running.connect(Protocol::Udp, 7)).await;
    for datagram in [&b"one"[..], b"", &[2; 9_000]] {
        write_framed(&mut stream, datagram).await.expect("said");
        assert_eq!(read_framed(&mut stream).await.expect("heard").as_deref(), Some(datagram));
    }

    for (request, told) in [
        (running.connect(Protocol::Tcp, 8), "cannot connect to port 8 (tcp) of dev: Connection refused"),
        (
            Request::Connect {
                project: running.id.clone(),
                name: BoxName::new("db").expect("a name"),
                protocol: Protocol::Tcp,
                port: 7,
            },
            "box db does not run",
        ),
        (
            Request::Connect {
                project: ProjectId::new("p-none-0").expect("an id"),
                name: BoxName::dev(),
                protocol: Protocol::Tcp,
                port: 7,
            },
            "the project p-none-0 does not run",
        ),
    ] {
        let (Answer::Failed { causes, .. }, _) = ask(&*line, &request).await else { panic!("{request:?}") };
        assert!(causes.join(": ").starts_with(told), "{causes:?}");
    }

    publish(line, &running).await;
}

/// `up` does not wait until the program in the box listens.
async fn reach(line: &dyn Line, request: &Request) -> Stream {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match ask(line, request).await {
            (Answer::Open, stream) => return stream,
            (Answer::Failed { causes, .. }, _)
                if causes.iter().any(|cause| cause.contains("refused")) && Instant::now() < until =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (answer, _) => panic!("{answer:?}"),
        }
    }
}

/// A port of the box on this computer's loopback address.
pub async fn publish_one(line: Arc<RemoteLine>, running: &Running, box_port: u16) -> (u16, Publisher) {
    let request = running.connect(Protocol::Tcp, box_port);
    let open: Open = Arc::new(move |_, _, _| {
        let (line, request) = (line.clone(), request.clone());
        Box::pin(async move { Ok(reach(&*line, &request).await) })
    });
    let publisher = Publisher::new(open);
    let wanted =
        PortRequest { address: PortAddress::Loopback, host: HostPort::Preferred, box_port, protocol: Protocol::Tcp };
    let boxes = [BoxPorts { name: BoxName::dev(), ports: vec![wanted], remembered: Vec::new() }];
    let published = publisher.set(&boxes).await.expect("published");
    (published.ports[&BoxName::dev()][0].host_port, publisher)
}

/// A thousand connections at once through a published port.
async fn publish(line: Arc<RemoteLine>, running: &Running) {
    devenv::sys::socket::raise_descriptor_limit();
    let (port, _publisher) = publish_one(line, running, 7).await;
    let mut clients = Vec::new();
    for number in 0..1_000u32 {
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        client.write_u32(number).await.expect("said");
        clients.push(client);
    }
    for (number, client) in (0..).zip(&mut clients) {
        assert_eq!(client.read_u32().await.expect("heard"), number);
    }
    running.devenv("stop");
    // What is said to a box that is gone is not said to nobody.
    let gone = clients[0].read(&mut [0]).await;
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
}

//! The connection to the managed VM: SSH, with both keys known beforehand.

use super::Line;
use crate::model::guest::{SSH_REPORT, SSH_STREAMS, SSH_SWITCH_OFF, SSH_USER};
use crate::model::{Failure, Result, Trying};
use crate::sys::mux;
use crate::sys::stream::Stream;
use futures_util::future::BoxFuture;
use russh::client::{self, Config, DisconnectReason, Handle};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, cipher, kex};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::split;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A guest that says nothing for so long is asked whether it is there; one that does not answer twice is lost. So the end
/// of one that cannot say so is noticed after 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_MOST: usize = 2;
/// How long the handshake may take: an emulated guest on a busy computer computes for a second.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);
/// What may be on its way in one channel: more would make small messages wait behind bulk.
const WINDOW_BYTES: u32 = 512 * 1024;

/// A connection to the guest. All streams share one channel, in which each has its own window (`sys::mux`): windows of
/// russh's own channels are refilled whether anybody reads or not, so one that is not read would hold up all others.
pub struct SshLine {
    // Dropped first: it says its farewell through the session.
    opener: mux::Opener,
    session: Handle<Host>,
    end: Arc<End>,
}

/// Where a guest's SSH server is reached from this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    /// A unix socket that leads to the guest's vsock.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Address {
    async fn connect(&self) -> std::io::Result<Stream> {
        Ok(match self {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// Connects.
///
/// # Errors
/// Nobody is there, it has another host key than `host_key`, it does not know `client_key`, or it does not speak SSH.
pub async fn connect(address: &Address, client_key: &PrivateKey, host_key: &PublicKey) -> Result<SshLine> {
    let connecting = timeout(HANDSHAKE_PATIENCE, open(address, client_key, host_key)).await;
    let silent = || Err(Failure::new(format!("it did not answer within {} s", HANDSHAKE_PATIENCE.as_secs())));
    connecting.unwrap_or_else(|_| silent()).trying(|| format!("cannot connect to the VM at {address}"))
}

async fn open(address: &Address, client_key: &PrivateKey, host_key: &PublicKey) -> Result<SshLine> {
    let end = Arc::new(End::default());
    let session = log_in(address, client_key, host_key, end.clone()).await?;
    let channel = ask(&session, SSH_STREAMS).await?;
    let (reader, writer) = split(channel.into_stream());
    Ok(SshLine { opener: mux::open_over(reader, writer), session, end })
}

async fn log_in(
    address: &Address,
    client_key: &PrivateKey,
    host_key: &PublicKey,
    end: Arc<End>,
) -> Result<Handle<Host>> {
    let socket = address.connect().await.trying(|| "nobody listens there")?;
    let host = Host { key: host_key.clone(), end };
    let mut session = client::connect_stream(Arc::new(config()), socket, host).await.map_err(explain)?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(client_key.clone()), None);
    let welcome = session.authenticate_publickey(SSH_USER, key).await.map_err(explain)?;
    match welcome.success() {
        true => Ok(session),
        false => Err(Failure::new("it does not know this computer's key").hint(OTHER_VM)),
    }
}

/// Opens a channel and has it be what `words` says.
async fn ask(session: &Handle<Host>, words: &str) -> Result<Channel<client::Msg>> {
    let mut channel = session.channel_open_session().await.map_err(explain)?;
    channel.exec(true, words).await.map_err(explain)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return Ok(channel),
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            _ => return Err(Failure::new(format!("it does not know what \"{words}\" is")).hint(OTHER_VM)),
        }
    }
}

const OTHER_VM: &str = "`devenv vm stop` ends it; the next command starts one that belongs to this program";

fn explain(error: russh::Error) -> Failure {
    match error {
        russh::Error::UnknownKey => {
            Failure::new("its host key is not the one it was made with: something else answers there").hint(OTHER_VM)
        }
        error => Failure::because("it does not speak as the VM's guest does", error),
    }
}

fn config() -> Config {
    let preferred = Preferred {
        kex: Cow::Borrowed(&[
            kex::CURVE25519,
            kex::EXTENSION_SUPPORT_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        ]),
        cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305]),
        ..Preferred::DEFAULT
    };
    Config {
        window_size: WINDOW_BYTES,
        preferred,
        inactivity_timeout: None,
        keepalive_interval: Some(KEEP_ALIVE),
        keepalive_max: KEEP_ALIVE_MOST,
        nodelay: true,
        ..Config::default()
    }
}

impl SshLine {
    /// Has the guest end its boxes, write everything to its disk and switch itself off. Returns when it has agreed.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn switch_off(&self) -> Result<()> {
        ask(&self.session, SSH_SWITCH_OFF).await.map(drop).trying(|| "cannot ask the VM's guest to end")
    }
}

/// The longest report that is read.
const LONGEST_REPORT_BYTES: usize = 1 << 20;

impl SshLine {
    /// What the guest tells of itself, as text for people.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn report(&self) -> Result<String> {
        let mut channel = ask(&self.session, SSH_REPORT).await?;
        let mut report = Vec::new();
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } if report.len() + data.len() <= LONGEST_REPORT_BYTES => report.extend(data),
                ChannelMsg::Data { .. } => return Err(Failure::new("the VM's guest tells more than it should")),
                ChannelMsg::Eof | ChannelMsg::Close => break,
                _ => {}
            }
        }
        Ok(String::from_utf8_lossy(&report).into_owned())
    }
}

impl Line for SshLine {
    fn open(&self) -> BoxFuture<'_, Result<Stream>> {
        let opened = self.opener.open().trying(|| "the connection to the VM is lost");
        Box::pin(std::future::ready(opened.map(|stream| Box::new(stream) as Stream)))
    }

    fn lost(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            let why = self.opener.over().await;
            self.end.why().unwrap_or(why)
        })
    }
}

/// Why the session ended, as far as its own side knows.
#[derive(Default)]
struct End(Mutex<Option<String>>);

impl End {
    fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The guest as it should be.
struct Host {
    key: PublicKey,
    end: Arc<End>,
}

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(&mut self, found: &PublicKeyOrCertificate) -> std::result::Result<bool, russh::Error> {
        Ok(matches!(found, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.key.key_data()))
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> std::result::Result<(), russh::Error> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(_) => "the VM's guest ended the connection".to_owned(),
            DisconnectReason::Error(russh::Error::KeepaliveTimeout) => "the VM does not answer any more".to_owned(),
            DisconnectReason::Error(error) => error.to_string(),
        };
        *self.end.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

//! What is refused, and how it is told.

use super::pair::{Guest, PATIENCE, key};
use devenv::machine::ssh::{Address, connect};
use devenv::model::guest::SSH_USER;
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, client};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn told(address: SocketAddr, client: u8, host: u8) -> String {
    let connected = connect(&Address::Tcp(address), &key(client), key(host).public_key()).await;
    connected.map(drop).unwrap_err().chain().join(": ").replace(&address.to_string(), "ADDRESS")
}

#[tokio::test]
async fn another_host_key_is_refused() {
    let guest = Guest::start().await;
    let why = "cannot connect to the VM at ADDRESS: its host key is not the one it was made with: \
               something else answers there";
    assert_eq!(told(guest.address, 2, 3).await, why);
}

#[tokio::test]
async fn another_client_key_is_refused() {
    let guest = Guest::start().await;
    let why = "cannot connect to the VM at ADDRESS: it does not know this computer's key";
    assert_eq!(told(guest.address, 3, 1).await, why);
}

#[tokio::test]
async fn nobody_there_and_somebody_who_speaks_no_ssh_are_told_apart() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.write_all(&[b'x'; 4096]).await;
    });
    let noise = told(address, 2, 1).await;
    assert!(
        noise.starts_with("cannot connect to the VM at ADDRESS: it does not speak as the VM's guest does"),
        "{noise}"
    );
    let nobody = told(address, 2, 1).await;
    assert!(nobody.starts_with("cannot connect to the VM at ADDRESS: nobody listens there"), "{nobody}");
}

#[tokio::test]
async fn the_server_outlives_noise() {
    let guest = Guest::start().await;
    for noise in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"SSH-2.0-x\r\n\0\0\0\x0c\xff\xff\xff\xff\xff\xff\xff\xff",
        &[0xff; 70_000],
    ] {
        let mut socket = TcpStream::connect(guest.address).await.unwrap();
        // It may close before it has read everything.
        let _ = socket.write_all(noise).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("it lets go");
    }
    guest.connect().await;
}

struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn session(guest: &Guest, user: &str) -> (client::Handle<Anybody>, bool) {
    let mut session = client::connect(Arc::default(), guest.address, Anybody).await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(guest.client_key.clone()), None);
    let welcome = session.authenticate_publickey(user, key).await.unwrap().success();
    (session, welcome)
}

#[tokio::test]
async fn there_is_one_user_and_no_password() {
    let guest = Guest::start().await;
    assert!(!session(&guest, "root").await.1);
    let (mut stranger, _) = session(&guest, "root").await;
    assert!(!stranger.authenticate_password(SSH_USER, "").await.unwrap().success());
    assert!(!stranger.authenticate_none(SSH_USER).await.unwrap().success());
}

#[tokio::test]
async fn nothing_else_can_be_asked_for() {
    let guest = Guest::start().await;
    let (session, welcome) = session(&guest, SSH_USER).await;
    assert!(welcome);
    let ends = async |mut channel: russh::Channel<client::Msg>| {
        let mut refused = false;
        while let Some(message) = timeout(PATIENCE, channel.wait()).await.expect("the channel is closed") {
            refused |= matches!(message, ChannelMsg::Failure);
        }
        refused
    };
    for words in ["", "sh", "streams; sh"] {
        let channel = session.channel_open_session().await.unwrap();
        channel.exec(true, words).await.unwrap();
        assert!(ends(channel).await, "{words}");
    }
    let channel = session.channel_open_session().await.unwrap();
    channel.request_shell(true).await.unwrap();
    assert!(ends(channel).await);
    let channel = session.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(ends(channel).await);
    let channel = session.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    assert!(ends(channel).await);
    assert!(session.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_err());
    assert!(session.channel_open_direct_streamlocal("/run/x").await.is_err());
    assert!(session.tcpip_forward("127.0.0.1", 0).await.is_err());
}

//! A server like the guest's, and what a client needs to know of it.

use devenv::agent::ssh::Door;
use devenv::machine::ssh::{Address, SshLine, connect};
use devenv::model::Result;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the clock was set to last: nanoseconds, and the length of the timezone.
pub static CLOCK: Mutex<Option<(i64, Option<usize>)>> = Mutex::new(None);

pub struct Guest {
    pub address: SocketAddr,
    pub host_key: PublicKey,
    pub client_key: PrivateKey,
    pub door: Arc<Door>,
}

/// A key; the same number gives the same.
pub fn key(number: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[number; 32]))
}

impl Guest {
    pub async fn start() -> Guest {
        let (host, client_key) = (key(1), key(2));
        let host_text = host.to_openssh(LineEnding::LF).unwrap();
        let client_text = client_key.public_key().to_openssh().unwrap();
        let set_clock = |nanoseconds: i64, timezone: Option<&str>| -> Result<()> {
            *CLOCK.lock().unwrap() = Some((nanoseconds, timezone.map(str::len)));
            Ok(())
        };
        let door = Arc::new(Door::new(&host_text, &client_text, set_clock).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = door.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let door = serving.clone();
                tokio::spawn(async move { door.serve(socket, || ()).await });
            }
        });
        Guest { address, host_key: host.public_key().clone(), client_key, door }
    }

    pub async fn connect(&self) -> SshLine {
        connect(&Address::Tcp(self.address), &self.client_key, &self.host_key).await.unwrap()
    }
}

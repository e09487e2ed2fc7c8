//! What the host tells a guest of the managed VM at its birth, in a file of the guest's initramfs.

use serde::{Deserialize, Serialize};

/// Where the guest finds its [`Seed`], JSON, readable by root only.
pub const SEED_PATH: &str = "/seed.json";

/// Written to the console, alone on a line, when the guest serves; the host connects then and not before.
pub const READY_LINE: &str = "devenv-guest: ready";

/// Begins a line of the console that says why the guest cannot go on; the rest is the reason.
pub const TROUBLE_PREFIX: &str = "devenv-guest: trouble: ";

/// Port of the guest's SSH server, on vsock(7) where the machine has that, else on TCP. Nothing else listens.
pub const SSH_PORT: u16 = 22;

/// Name of the only user of the guest's SSH server.
pub const SSH_USER: &str = "devenv";

/// What the host asks of the SSH server ("exec"): a channel that carries streams (`sys::mux`).
pub const SSH_STREAMS: &str = "streams";

/// The other thing it may ask: that the guest ends its boxes, writes everything to its disk and switches itself off.
pub const SSH_SWITCH_OFF: &str = "switch-off";

/// And that it tells people what it is and what runs in it, as text.
pub const SSH_REPORT: &str = "report";

/// Everything that makes one guest different from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    /// The guest's host key, OpenSSH PEM; the host knows its public half since it made it.
    pub host_key: String,
    /// The one key that may come in, as a line of `authorized_keys`.
    pub client_key: String,
    pub hostname: String,
    /// Time of the host when the guest was started, nanoseconds since 1970 UTC.
    pub unix_nanoseconds: i64,
    /// Bytes of the host's `/etc/localtime`, base64; `None`: UTC.
    pub timezone: Option<String>,
    /// 64 bytes from the host's random generator, base64: without them the guest would wait for randomness for ever.
    pub random: String,
    /// Minutes without a running box and without a connection after which the guest ends itself; `None`: never.
    pub idle_minutes: Option<u32>,
    /// Tells builds of the guest's program apart; a plain file name.
    pub program: String,
}

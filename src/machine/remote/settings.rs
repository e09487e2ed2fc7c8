//! What the user's ssh configuration says of a host, and the words ssh is started with.

use crate::model::RemoteHost;
use std::path::Path;

/// How long a host may take to answer, seconds, where the user did not say: by itself TCP gives up after minutes.
const CONNECT_SECONDS: u32 = 20;
/// How often ssh makes sure that the host is still there, seconds, where the user did not say; after three times
/// (ServerAliveCountMax) it gives up.
const ALIVE_SECONDS: u32 = 15;
/// How long a connection that nobody uses is kept, seconds.
const KEPT_SECONDS: u32 = 600;
/// Ciphers that processors compute by themselves, so that tunnels are faster; put first where the user did not choose.
const FAST_CIPHERS: [&str; 2] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];

/// What ssh would do by itself (`ssh -G`), as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    ciphers: String,
    has_connect_timeout: bool,
    has_alive_interval: bool,
    keeps_connections: bool,
}

/// A connection that sessions share.
#[derive(Debug, Clone, Copy)]
pub struct Control<'a> {
    pub socket: &'a Path,
    /// The first session makes it, and leaves it for others.
    pub makes: bool,
}

impl Settings {
    /// Reads what `ssh -G` prints.
    pub fn read(text: &str) -> Settings {
        let value = |name: &str| {
            let values = text.lines().filter_map(|line| line.split_once(' '));
            values.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value.trim())
        };
        Settings {
            ciphers: value("ciphers").to_owned(),
            has_connect_timeout: !matches!(value("connecttimeout"), "" | "none" | "0"),
            has_alive_interval: !matches!(value("serveraliveinterval"), "" | "0"),
            keeps_connections: !matches!(value("controlmaster"), "" | "false" | "no")
                || !matches!(value("controlpath"), "" | "none"),
        }
    }

    /// Whether the user has ssh share connections in a way of their own.
    pub fn keeps_connections(&self) -> bool {
        self.keeps_connections
    }

    /// The options that fill what the user left open. `defaults` is what ssh does without any configuration.
    fn additions(&self, defaults: &Settings) -> Vec<String> {
        let mut options = Vec::new();
        if !self.has_connect_timeout {
            options.push(format!("ConnectTimeout={CONNECT_SECONDS}"));
        }
        if !self.has_alive_interval {
            options.push(format!("ServerAliveInterval={ALIVE_SECONDS}"));
        }
        if self.ciphers == defaults.ciphers {
            let all: Vec<&str> = self.ciphers.split(',').collect();
            let (fast, others): (Vec<&str>, Vec<&str>) = all.iter().partition(|name| FAST_CIPHERS.contains(name));
            if !fast.is_empty() {
                options.push(format!("Ciphers={}", [fast, others].concat().join(",")));
            }
        }
        options
    }
}

/// Words of `ssh -G`.
pub fn ask_arguments(remote: &RemoteHost, configured: bool) -> Vec<String> {
    let mut words: Vec<String> = if configured { vec![] } else { vec!["-F".into(), "none".into()] };
    words.extend(["-T".into(), "-G".into()]);
    words.extend(destination(remote));
    words
}

/// Words that run `command` over there without ever asking anybody, over the connection `control` if it is given.
pub fn session_arguments(
    remote: &RemoteHost,
    settings: &Settings,
    defaults: &Settings,
    control: Option<&Control>,
    command: &str,
) -> Vec<String> {
    // Neither a terminal nor X11 nor the user's agent is any business of the far side.
    let mut words: Vec<String> = ["-T", "-x", "-a"].map(String::from).into();
    let fixed = ["BatchMode=yes", "ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none"];
    let mut options: Vec<String> = fixed.map(String::from).into();
    options.extend(settings.additions(defaults));
    if let Some(control) = control {
        options.push(format!("ControlMaster={}", if control.makes { "auto" } else { "no" }));
        options.push(format!("ControlPersist={KEPT_SECONDS}"));
        options.push(format!("ControlPath={}", escape(control.socket)));
    }
    words.extend(options.into_iter().flat_map(|option| ["-o".into(), option]));
    words.extend(destination(remote));
    words.push(command.into());
    words
}

/// Words that connect with somebody there to answer what ssh asks, and leave a connection at `control` that later
/// sessions share.
pub fn master_arguments(remote: &RemoteHost, settings: &Settings, defaults: &Settings, control: &Path) -> Vec<String> {
    let mut words: Vec<String> = ["-T", "-x", "-a", "-M", "-S"].map(String::from).into();
    words.push(escape(control));
    let fixed = ["ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none", "BatchMode=no"];
    let mut options: Vec<String> = fixed.map(String::from).into();
    options.push(format!("ControlPersist={KEPT_SECONDS}"));
    options.extend(settings.additions(defaults));
    words.extend(options.into_iter().flat_map(|option| ["-o".into(), option]));
    words.extend(destination(remote));
    words.push("exit 0".into());
    words
}

/// A path as ssh's options take it, where `%` begins a token (ssh_config(5), TOKENS).
fn escape(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

fn destination(remote: &RemoteHost) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(port) = remote.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.extend(["--".to_owned(), remote.destination()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Place;

    const DEFAULTS: &str = "user me\nserveraliveinterval 0\nciphers chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com\nconnecttimeout none\n";

    fn remote(text: &str) -> RemoteHost {
        match Place::parse(text) {
            Ok(Place::Ssh(remote)) => remote,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_user_left_open_is_filled_and_what_they_chose_is_kept() {
        let defaults = Settings::read(DEFAULTS);
        let session = |text: &str| {
            let words = session_arguments(&remote("ssh://me@h:2222"), &Settings::read(text), &defaults, None, "run");
            words.join(" ")
        };
        let open = session(DEFAULTS);
        assert!(open.ends_with("-p 2222 -- me@h run"), "{open}");
        for option in [
            "-o BatchMode=yes",
            "-o ConnectTimeout=20",
            "-o ServerAliveInterval=15",
            "-o Ciphers=aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr ",
        ] {
            assert!(open.contains(option), "{open}");
        }
        let chosen = session("connecttimeout 3\nserveraliveinterval 60\nciphers aes256-ctr\n");
        for option in ["ConnectTimeout", "ServerAliveInterval", "Ciphers"] {
            assert!(!chosen.contains(option), "{chosen}");
        }
    }

    #[test]
    fn a_connection_made_before_is_shared() {
        let (defaults, path) = (Settings::read(DEFAULTS), Path::new("/run/100%/c"));
        for (makes, master) in [(true, "ControlMaster=auto"), (false, "ControlMaster=no")] {
            let control = Control { socket: path, makes };
            let words = session_arguments(&remote("ssh://h"), &defaults, &defaults, Some(&control), "run").join(" ");
            assert!(words.contains("-o ControlPath=/run/100%%/c") && words.contains(master), "{words}");
        }
        let words = master_arguments(&remote("ssh://h"), &defaults, &defaults, path).join(" ");
        assert!(words.contains("-M -S /run/100%%/c") && words.contains("BatchMode=no"), "{words}");
    }

    #[test]
    fn a_user_who_keeps_connections_is_left_to_it() {
        for (text, keeps) in [
            (DEFAULTS, false),
            ("controlmaster false\ncontrolpersist no\n", false),
            ("controlmaster auto\n", true),
            ("controlmaster false\ncontrolpath /home/me/.ssh/kept\n", true),
            ("controlpath none\n", false),
        ] {
            assert_eq!(Settings::read(text).keeps_connections(), keeps, "{text}");
        }
    }
}

//! Where boxes run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A place: this kernel, the managed VM, or a remote host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Here,
    Vm,
    Ssh(RemoteHost),
}

/// `ssh://[USER@]HOST[:PORT]`; what is not said is up to the user's ssh configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteHost {
    pub user: Option<String>,
    /// A host name, an address, or an alias of the user's ssh configuration.
    pub host: String,
    pub port: Option<u16>,
}

impl Place {
    /// Reads `here`, `vm` or `ssh://[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    /// Why it is none of them.
    pub fn parse(text: &str) -> Result<Place, String> {
        match text {
            "here" => Ok(Place::Here),
            "vm" => Ok(Place::Vm),
            _ => match text.strip_prefix("ssh://") {
                Some(rest) => RemoteHost::parse(rest).map(Place::Ssh),
                None => Err(format!("\"{text}\" is not a place: it is `here`, `vm`, or `ssh://USER@HOST`")),
            },
        }
    }
}

impl RemoteHost {
    fn parse(text: &str) -> Result<RemoteHost, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest)?;
        // A word that begins with '-' would be read by ssh as an option.
        let is_word = |word: &str| {
            !word.is_empty() && !word.starts_with('-') && !word.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        if !is_word(host) || host.contains('/') || user.is_some_and(|user| !is_word(user) || user.contains('/')) {
            return Err(format!("\"ssh://{text}\" is not a remote host: it is written ssh://USER@HOST[:PORT]"));
        }
        Ok(RemoteHost { user: user.map(str::to_owned), host: host.to_owned(), port })
    }

    /// As ssh takes it on its command line: `user@host` or `host`.
    pub fn destination(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }
}

/// `host:22` or `[::1]:22` in its parts.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => return Ok((host, None)),
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => return Ok((text, None)),
        },
    };
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    port.map(|port| (host, Some(port))).ok_or_else(|| format!("\"{text}\" has no port that could be one"))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Here => f.write_str("here"),
            Place::Vm => f.write_str("vm"),
            Place::Ssh(remote) => remote.fmt(f),
        }
    }
}

impl fmt::Display for RemoteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_the_same() {
        for text in ["here", "vm", "ssh://h", "ssh://me@h", "ssh://me@h:2222", "ssh://[::1]:22", "ssh://me@[fe80::1]"] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()), Ok(text.to_owned()));
        }
        let Ok(Place::Ssh(remote)) = Place::parse("ssh://a@b@h:22/") else { panic!("not read") };
        assert_eq!((remote.destination().as_str(), remote.port), ("a@b@h", Some(22)));
    }

    #[test]
    fn what_ssh_would_take_for_an_option_is_refused() {
        for text in
            ["", "there", "ssh://", "ssh://-oProxyCommand=x", "ssh://-l@h", "ssh://h:0", "ssh://h:x", "ssh://a b"]
        {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}

//! What a session that came to nothing means: ssh's own words, and what to do.

use crate::model::{Failure, Kind, RemoteHost};

/// Exit code of ssh when ssh itself failed (ssh(1), EXIT STATUS).
const SSH_FAILED: i32 = 255;

/// What a session said before it ended, and how it did.
#[derive(Debug, Default)]
pub struct Ended {
    /// Exit code; `None`: it was killed.
    pub code: Option<i32>,
    pub output: String,
    pub complaint: String,
}

/// Whether a person at a terminal could help: to enter a password, or to say that a new host is right.
pub fn needs_a_person(complaint: &str) -> bool {
    let asks = complaint.contains("Permission denied (") || complaint.contains("Host key verification failed");
    asks && !complaint.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
}

/// The failure.
pub fn explain(remote: &RemoteHost, ended: &Ended) -> Failure {
    let what = format!("cannot connect to {remote}");
    let words = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let (complaint, output) = (words(&ended.complaint), words(&ended.output));
    if ended.code == Some(SSH_FAILED) {
        let complaint = if complaint.is_empty() { "ssh failed without a word".to_owned() } else { complaint };
        let hint = advise(remote, &complaint);
        let kind = if needs_a_person(&complaint) { Kind::Unattended } else { Kind::Failed };
        return Failure::because(what, complaint).kind(kind).hint(hint);
    }
    let said = [complaint, output].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    let ending = match ended.code {
        Some(code) => format!("the session over there ended with {code}"),
        None => "ssh was killed".to_owned(),
    };
    let why = if said.is_empty() { format!("{ending} and said nothing") } else { format!("{ending}: {said}") };
    Failure::because(what, why).hint(format!(
        "the account needs a shell that runs commands: `ssh {} sh -c true` has to work",
        ssh_words(remote)
    ))
}

/// What to do about what ssh said.
fn advise(remote: &RemoteHost, complaint: &str) -> String {
    let by_hand = ssh_words(remote);
    let has = |text: &str| complaint.contains(text);
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return format!(
            "somebody may be in between; if the host was made anew: `ssh-keygen -R {}`, then `ssh {by_hand}`",
            known_as(remote)
        );
    }
    if has("Host key verification failed") {
        return format!(
            "the host is not known yet: `devenv up` at a terminal, or `ssh {by_hand}`, asks whether its key is right"
        );
    }
    if has("Permission denied (") || has("Too many authentication failures") {
        return format!(
            "`devenv up` at a terminal asks for a password; without one it needs a key, or an agent that holds one: `ssh {by_hand}` has to work"
        );
    }
    if has("Could not resolve hostname") {
        return "check the name, or add it to ~/.ssh/config".into();
    }
    if has("Connection refused") {
        return format!("is sshd running there, and at this port? `ssh {by_hand}` shows the same");
    }
    if has("timed out") || has("No route to host") || has("Network is unreachable") {
        return format!("is the host up, and reachable from this network? `ssh {by_hand}` shows the same");
    }
    format!("`ssh {by_hand}` has to work first")
}

/// The words a person types after `ssh`.
fn ssh_words(remote: &RemoteHost) -> String {
    match remote.port {
        Some(port) => format!("-p {port} {}", remote.destination()),
        None => remote.destination(),
    }
}

/// Name of the host in `known_hosts` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
fn known_as(remote: &RemoteHost) -> String {
    match remote.port {
        Some(port) if port != 22 => format!("'[{}]:{port}'", remote.host),
        _ => remote.host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_ssh_has_its_advice() {
        let remote = RemoteHost { user: Some("me".into()), host: "h".into(), port: Some(2222) };
        let told = |complaint: &str, part: &str| {
            let ended = Ended { code: Some(255), complaint: complaint.into(), ..Ended::default() };
            let failure = explain(&remote, &ended);
            assert_eq!(failure.chain(), ["cannot connect to ssh://me@h:2222", complaint]);
            assert!(failure.get_hint().is_some_and(|hint| hint.contains(part)), "{failure:?}");
        };
        told("ssh: connect to host h port 2222: Connection refused", "is sshd running");
        told("ssh: Could not resolve hostname h: Name or service not known", "check the name");
        told("me@h: Permission denied (publickey,password).", "`ssh -p 2222 me@h` has to work");
        told("Host key verification failed.", "not known yet");
        told("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "'[h]:2222'");
        told("ssh: connect to host h port 2222: Connection timed out", "is the host up");
    }

    #[test]
    fn what_an_account_without_a_shell_says_is_shown() {
        let remote = RemoteHost { user: None, host: "h".into(), port: None };
        let ended =
            Ended { code: Some(1), output: "This account is currently not available.\n".into(), ..Ended::default() };
        let failure = explain(&remote, &ended);
        let told = failure.chain().join(": ");
        assert!(told.contains("ended with 1: This account is currently not available."), "{told}");
    }

    #[test]
    fn a_person_is_asked_only_for_what_a_person_may_decide() {
        assert!(needs_a_person("me@h: Permission denied (publickey,password)."));
        assert!(needs_a_person("Host key verification failed."));
        assert!(!needs_a_person("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed."));
        assert!(!needs_a_person("Connection refused"));
    }
}

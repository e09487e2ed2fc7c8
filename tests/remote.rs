//! Remote hosts: a real sshd on loopback, a real ssh, another user's account, and the agent there.

#[path = "remote/account.rs"]
mod account;
#[path = "remote/line.rs"]
mod line;
#[path = "remote/sshd.rs"]
mod sshd;

//! Whose process this is, and the accounts of the computer.

/// Effective user id of this process, as its user namespace shows it.
pub fn uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Effective group id of this process.
pub fn gid() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// One line of /etc/passwd (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

/// The accounts in the text of a passwd file. Read as text and never through NSS: a static program must not load
/// the host's modules, and inside a box those modules are the image's.
pub fn accounts(passwd: &str) -> impl Iterator<Item = Account> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).unwrap_or("/").to_owned();
        Some(Account { name, uid, gid, home, shell: fields.next().unwrap_or_default().to_owned() })
    })
}

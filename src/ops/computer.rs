//! This computer and who runs devenv on it.

use crate::model::Host;
use crate::sys::fs::read_if_exists;
use crate::sys::{account, environment};
use std::path::{Path, PathBuf};

/// Who runs devenv: ids from the kernel, the rest from /etc/passwd as text, HOME and USER.
pub fn host() -> Host {
    let (uid, gid) = (account::uid(), account::gid());
    let passwd = read_if_exists(Path::new("/etc/passwd")).ok().flatten().unwrap_or_default();
    let found = account::accounts(&passwd).find(|account| account.uid == uid);
    let user_name = found.as_ref().map(|account| account.name.clone()).or_else(|| environment::variable("USER"));
    let home = environment::path_variable("HOME").or_else(|| found.map(|account| account.home.into()));
    Host {
        uid,
        gid,
        user_name: user_name.unwrap_or_else(|| "user".into()),
        home: home.unwrap_or_else(|| "/".into()),
        architecture: std::env::consts::ARCH.into(),
    }
}

/// Where PATH finds `name`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = environment::variable("PATH")?;
    path.split(':').map(|folder| Path::new(folder).join(name)).find(|candidate| candidate.is_file())
}

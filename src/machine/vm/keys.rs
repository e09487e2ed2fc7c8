//! The two keys of a VM, made once and pinned: the guest's own, and the one that may come in.

use crate::model::{Result, Trying, VmPaths};
use crate::sys::fs::{read_if_exists, write_secret};
use crate::sys::process::random;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use std::path::Path;

/// Both keys, private.
#[derive(Clone)]
pub struct Keys {
    pub host: PrivateKey,
    pub client: PrivateKey,
}

impl Keys {
    /// The VM's keys, made if there are none yet. The caller holds the VM's lock.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub fn obtain(paths: &VmPaths) -> Result<Keys> {
        Ok(Keys { host: obtain(&paths.host_key())?, client: obtain(&paths.client_key())? })
    }

    /// The VM's keys; `None` when it was never started.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(paths: &VmPaths) -> Result<Option<Keys>> {
        Ok(read(&paths.host_key())?.zip(read(&paths.client_key())?).map(|(host, client)| Keys { host, client }))
    }
}

/// A private key as OpenSSH writes it.
///
/// # Errors
/// None that is known for keys of ours.
pub fn private_text(key: &PrivateKey) -> Result<String> {
    let text = key.to_openssh(LineEnding::LF).trying(|| "cannot write down a key")?;
    Ok(text.to_string())
}

/// The public half as a line of `authorized_keys`.
///
/// # Errors
/// None that is known for keys of ours.
pub fn public_text(key: &PrivateKey) -> Result<String> {
    key.public_key().to_openssh().trying(|| "cannot write down a key")
}

fn obtain(path: &Path) -> Result<PrivateKey> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&random()?));
    write_secret(path, private_text(&key)?.as_bytes())?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<PrivateKey>> {
    let text = read_if_exists(path)?;
    let trying = || format!("cannot understand the key {}", path.display());
    text.map(|text| PrivateKey::from_openssh(text).trying(trying)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_are_secret() {
        let folder = tempfile::tempdir().unwrap();
        let paths = VmPaths::new(folder.path().to_owned(), folder.path().to_owned());
        assert!(Keys::read(&paths).unwrap().is_none());
        let made = Keys::obtain(&paths).unwrap();
        let again = Keys::obtain(&paths).unwrap();
        assert_eq!(public_text(&made.host).unwrap(), public_text(&again.host).unwrap());
        assert_ne!(public_text(&made.host).unwrap(), public_text(&made.client).unwrap());
        assert!(public_text(&made.client).unwrap().starts_with("ssh-ed25519 "));
        let mode = std::fs::metadata(paths.client_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(paths.host_key(), "cut").unwrap();
        assert!(Keys::obtain(&paths).is_err());
    }
}

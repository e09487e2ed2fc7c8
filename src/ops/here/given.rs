//! What a caller elsewhere says of its settings, in place of this account's own.

use crate::model::Result;
use crate::model::Settings;
use crate::model::call::Caller;
use crate::sys::linux::{exe, pipe};
use std::os::fd::OwnedFd;

/// Settings whose files are in memory, as long as this lives.
pub struct CallerSettings {
    pub settings: Settings,
    _files: Vec<OwnedFd>,
}

impl CallerSettings {
    /// Takes them, and gives the certificates that came as text a name that can be opened.
    ///
    /// # Errors
    /// No memory or descriptors are left.
    pub fn take(caller: &Caller) -> Result<CallerSettings> {
        let mut settings = caller.settings.clone();
        let mut files = Vec::new();
        let mut keep = |pem: &String| -> Result<_> {
            let file = pipe::memory("certificates", pem.as_bytes())?;
            let path = exe::path_of(&file);
            files.push(file);
            Ok(path)
        };
        settings.ca_certificates = caller.certificates.all.iter().map(&mut keep).collect::<Result<_>>()?;
        for (name, registry) in &mut settings.registries {
            registry.ca = caller.certificates.registries.get(name).map(&mut keep).transpose()?;
        }
        Ok(CallerSettings { settings, _files: files })
    }
}

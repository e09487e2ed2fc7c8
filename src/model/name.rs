//! Names that were checked once, at the edge.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;

/// Why a name was refused.
pub type Refused = String;

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// Says which rule `text` breaks.
            pub fn new(text: impl Into<String>) -> Result<$name, Refused> {
                let text = text.into();
                let check: fn(&str) -> Result<(), Refused> = $check;
                check(&text)?;
                Ok($name(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refused;
            fn try_from(text: String) -> Result<$name, Refused> {
                $name::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // `pad` so that widths in format strings work.
                f.pad(&self.0)
            }
        }
    };
}

checked_name!(
    /// Name of a box: also its host name and its DNS name, so a DNS label (RFC 1123, section 2.1) in lower case.
    BoxName,
    check_label
);

checked_name!(
    /// Name of a volume: a folder name, so the characters Docker allows for volumes.
    VolumeName,
    check_file_name
);

checked_name!(
    /// Identity of a project: its folder's name and a digest of its absolute path; a folder name in our state.
    ProjectId,
    check_file_name
);

impl BoxName {
    /// The main box of every project.
    pub fn dev() -> BoxName {
        BoxName("dev".into())
    }

    pub fn is_dev(&self) -> bool {
        self.0 == "dev"
    }
}

impl ProjectId {
    /// The identity of the project in `folder`, an absolute path with symlinks resolved: the folder's name, made fit
    /// for a file name, and the first 40 bits of the SHA-256 of the path.
    pub fn of_folder(folder: &Path) -> ProjectId {
        ProjectId::hashed(folder, &Sha256::digest(folder.as_os_str().as_encoded_bytes())[..5])
    }

    /// The identity, on a remote host or in a VM, of the project in `folder` of the computer named `computer`: several
    /// computers may use one host, and two of them have the same folders.
    pub fn of_folder_elsewhere(computer: &str, folder: &Path) -> ProjectId {
        let digest = Sha256::new().chain_update(computer).chain_update([0]);
        ProjectId::hashed(folder, &digest.chain_update(folder.as_os_str().as_encoded_bytes()).finalize()[..8])
    }

    fn hashed(folder: &Path, digest: &[u8]) -> ProjectId {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let fit: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(40)
            .collect();
        ProjectId(format!("p-{}-{hex}", fit.trim_matches('-')))
    }
}

fn check_label(text: &str) -> Result<(), Refused> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 {
        return Err("a name has 1 to 63 characters".into());
    }
    if !text.chars().all(fits) || text.starts_with('-') || text.ends_with('-') {
        return Err("a name is made of a-z, 0-9 and '-', and neither starts nor ends with '-'".into());
    }
    Ok(())
}

fn check_file_name(text: &str) -> Result<(), Refused> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 128 {
        return Err("a name has 1 to 128 characters".into());
    }
    if !text.chars().all(fits) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("a name is made of letters, digits, '-', '_' and '.', and starts with a letter or digit".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_names_are_dns_labels() {
        for good in ["dev", "web-1", "a", &"x".repeat(63)] {
            assert!(BoxName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Web", "a_b", "-a", "a-", "a.b", "../x", &"x".repeat(64)] {
            assert!(BoxName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn volume_names_cannot_leave_their_folder() {
        for bad in ["", ".", "..", "a/b", "-a", "a b"] {
            assert!(VolumeName::new(bad).is_err(), "{bad}");
        }
        assert!(VolumeName::new("db_data.1").is_ok());
    }
}

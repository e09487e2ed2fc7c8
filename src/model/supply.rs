//! What a far side may ask of its caller while it carries out a verb: who to be at a registry, and image files that
//! only the caller's computer has.

use super::Result;
use super::frame::Told;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The most that one [`Question::Piece`] asks for.
pub const LONGEST_PIECE_BYTES: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "kebab-case")]
pub enum Question {
    /// Who to be at a registry, by the name under which credentials for it are kept.
    Credentials { account: String, repository: String },
    /// The length of a file of an image in files: of the archive itself, or of a file below its folder.
    Length { image: PathBuf, file: Option<String> },
    /// Bytes of such a file, at most [`LONGEST_PIECE_BYTES`].
    Piece { image: PathBuf, file: Option<String>, at: u64, length: u32 },
}

/// What is answered; a piece travels as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "given", rename_all = "kebab-case")]
pub enum Given {
    Credentials {
        found: Option<Credentials>,
    },
    /// `None`: there is no such file.
    Length {
        bytes: Option<u64>,
    },
    Failed(Told),
}

/// Who to be at a registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// An OAuth2 refresh token.
    IdentityToken(String),
}

/// Secrets do not get into logs and messages.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Whoever answers.
pub trait Supply: Send + Sync + fmt::Debug {
    /// Credentials for a repository; `None`: be anonymous.
    ///
    /// # Errors
    /// They cannot be looked for, or whoever answers has gone.
    fn credentials(&self, account: &str, repository: &str) -> Result<Option<Credentials>>;

    /// The length of a file of an image, in bytes; `None`: there is no such file.
    ///
    /// # Errors
    /// It cannot be looked at, or whoever answers has gone.
    fn length(&self, image: &Path, file: Option<&str>) -> Result<Option<u64>>;

    /// Bytes of a file of an image: fewer than asked for only at its end.
    ///
    /// # Errors
    /// They cannot be read, or whoever answers has gone.
    fn piece(&self, image: &Path, file: Option<&str>, at: u64, length: usize) -> Result<Vec<u8>>;
}

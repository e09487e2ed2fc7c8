//! The one error type: what was being done and to what, why it failed, and what to do about it.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;

/// Result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

/// What sort of failure it is, as far as a caller decides something by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The work failed: exit code 1.
    Failed,
    /// The command line or a config file is wrong: exit code 2.
    Usage,
    /// What was named does not exist (image, box, volume): exit code 1.
    NotFound,
    /// The box is there or could be, and does not run: exit code 1.
    NotRunning,
    /// Somebody has to be asked (a password, whether a host is right), and nobody could be: exit code 1.
    Unattended,
    /// All is made, and the program of a box ended at once: exit code 1. Nothing of it is undone.
    EndedAtOnce,
    /// Ctrl-C or SIGTERM stopped the work: exit code 130.
    Interrupted,
    /// A command exists but cannot be run: exit code 126 of `exec` and `shell`.
    NotExecutable,
    /// A command was not found: exit code 127 of `exec` and `shell`.
    CommandNotFound,
}

/// A failure a person can act on.
///
/// `what` names the act and its object ("cannot read /x/devenv.toml"); the cause stays in `source` and is
/// never repeated in `what`; `hint` says what to do.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Failure {
    /// A failure without an underlying cause.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { kind: Kind::Failed, what: what.into(), source: None, hint: None }
    }

    /// A failure with the error that made it happen.
    pub fn because(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { source: Some(source.into()), ..Failure::new(what) }
    }

    /// A failure told by another process: what [`Failure::chain`] gave there. Its hint and kind are the outermost's.
    pub fn told(causes: Vec<String>, hint: Option<String>, kind: Kind) -> Failure {
        let mut causes = causes.into_iter().rev();
        let innermost = Failure::new(causes.next().unwrap_or_else(|| "it failed without a word".into()));
        let failure = causes.fold(innermost, |cause, what| Failure::because(what, cause)).kind(kind);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Failure {
        self.kind = kind;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The sort of failure: the nearest one in the chain of causes that is not plain `Failed`.
    pub fn get_kind(&self) -> Kind {
        if self.kind != Kind::Failed {
            return self.kind;
        }
        match self.source.as_ref().and_then(|source| source.downcast_ref::<Failure>()) {
            Some(cause) => cause.get_kind(),
            None => Kind::Failed,
        }
    }

    /// The advice, of this failure or of the nearest cause that has one.
    pub fn get_hint(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| self.source.as_ref()?.downcast_ref::<Failure>()?.get_hint())
    }

    /// What failed and each cause below it, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut lines = vec![self.what.clone()];
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            if !lines.last().is_some_and(|last| last.ends_with(&text)) {
                lines.push(text);
            }
            cause = error.source();
        }
        lines
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

/// Adds to an error what was being tried: `fs::read(p).trying(|| format!("cannot read {}", p.display()))?`.
pub trait Trying<T> {
    fn trying<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Trying<T> for std::result::Result<T, E> {
    fn trying<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Failure::because(what(), source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_hint_shine_through_and_causes_are_not_repeated() {
        let inner =
            Failure::because("cannot open x", std::io::Error::other("gone")).kind(Kind::NotFound).hint("make x");
        let outer = Failure::because("cannot start", inner);
        assert_eq!(outer.get_kind(), Kind::NotFound);
        assert_eq!(outer.get_hint(), Some("make x"));
        assert_eq!(outer.chain(), ["cannot start", "cannot open x", "gone"]);
    }
}

//! What is said between a `devenv` and its far side (`agent`): in the managed VM or on a remote host.
//!
//! One connection carries many streams. Each stream opens with a [`Request`] from the asker, which the far side answers
//! with an [`Answer`]; from then on the stream is what was asked for. Both are documents: four bytes of length
//! (big-endian) and as many of JSON.

use super::call::{Call, EnterCall, Person};
use super::{BoxName, ProjectId, Protocol};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The longest document taken: a project of a thousand boxes is far below it.
pub const LONGEST_DOCUMENT_BYTES: u32 = 16 << 20;

/// What both sides have to be equal in: there is no compatibility code, the far program is refreshed instead.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "/2");

/// The first document of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Who are you? The stream ends after the answer.
    Hello,
    /// A connection to a port of a box. TCP: the stream is the connection, half-close included. UDP: datagrams of one
    /// sender, each with two bytes of length (big-endian) before it, both ways.
    Connect { project: ProjectId, name: BoxName, protocol: Protocol, port: u16 },
    /// Sets the far clock and timezone; the stream ends after the answer. A far side that is no guest of ours refuses.
    Clock { unix_nanoseconds: i64, timezone: Option<String> },
    /// Keep the tree of a mount's source equal: the stream then speaks `sync`.
    Sync { project: ProjectId, source: PathBuf, person: Option<Person> },
    /// What the tree of a mount's source has at a path below it: a `SyncVersion` follows the answer.
    Look { project: ProjectId, source: PathBuf, path: PathBuf, person: Option<Person> },
    /// A verb, carried out there. The stream then carries frames (`model::frame`).
    Verb(Box<Call>),
    /// A program run in a box there. The stream then carries frames.
    Enter(Box<EnterCall>),
}

/// The far side's answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The stream is what was asked for.
    Open,
    Hello {
        /// Build of the program over there.
        build: String,
        /// As Linux names it.
        architecture: String,
    },
    /// It could not be done. Outermost cause first.
    Failed { causes: Vec<String>, hint: Option<String> },
}

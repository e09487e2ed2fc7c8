//! Frames: what goes over the stream of a verb or a program once it is open. A byte that says what it is, four bytes of
//! length (big-endian), and as many of content.

use super::call::Size;
use super::event::Event;
use super::far::LONGEST_DOCUMENT_BYTES;
use super::supply::{Given, LONGEST_PIECE_BYTES, Question};
use super::{Failure, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes before the content.
pub const HEADER_BYTES: usize = 5;

/// The most that one frame carries of a program's input or output.
pub const LONGEST_DATA_BYTES: usize = 64 << 10;

/// The longest event: a line of a setup may be long.
pub const LONGEST_EVENT_BYTES: usize = 1 << 20;

/// The longest question, and the longest answer that is no piece of a file: names, and secrets that are tokens.
const LONGEST_QUESTION_BYTES: usize = 64 << 10;

/// How much input may be on its way before the far side says that its program took some: signals overtake the rest.
pub const INPUT_WINDOW_BYTES: usize = 256 << 10;

/// From the far side.
#[derive(Debug, Clone, PartialEq)]
pub enum FromFar {
    Event(Event),
    Output(Vec<u8>),
    ErrorOutput(Vec<u8>),
    /// So much input was taken: as much again may come.
    InputTaken(u32),
    /// What the verb needs to know to go on: a [`ToFar::Given`] or a [`ToFar::Piece`] is to come.
    Question(Question),
    /// The verb is done; its reply.
    Done(serde_json::Value),
    Failed(Told),
    /// The program ended.
    Exit(i32),
}

/// A failure on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Outermost first.
    pub causes: Vec<String>,
    pub hint: Option<String>,
    pub kind: Kind,
}

impl Told {
    /// `failure` as it is told.
    pub fn of(failure: &Failure) -> Told {
        Told { causes: failure.chain(), hint: failure.get_hint().map(str::to_owned), kind: failure.get_kind() }
    }
}

impl From<Told> for Failure {
    fn from(told: Told) -> Failure {
        Failure::told(told.causes, told.hint, told.kind)
    }
}

/// To the far side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToFar {
    Input(Vec<u8>),
    InputEnd,
    Resize(Size),
    /// Its name, as `INT`: numbers differ between systems.
    Signal(String),
    /// Ctrl-C, for a verb.
    Cancel,
    /// The answer to a question.
    Given(Given),
    /// The bytes that a question was for.
    Piece(Vec<u8>),
    /// Nobody reads standard output any more.
    OutputUnread,
    /// Nobody reads standard error any more.
    ErrorOutputUnread,
}

/// Why bytes are no frame.
pub type Refused = String;

impl FromFar {
    /// What it is, and its content.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            FromFar::Event(event) => (b'v', json(event)),
            FromFar::Output(bytes) => (b'o', bytes.clone()),
            FromFar::ErrorOutput(bytes) => (b'e', bytes.clone()),
            FromFar::InputTaken(count) => (b't', count.to_be_bytes().to_vec()),
            FromFar::Question(question) => (b'k', json(question)),
            FromFar::Done(reply) => (b'd', json(reply)),
            FromFar::Failed(told) => (b'f', json(told)),
            FromFar::Exit(code) => (b'x', code.to_be_bytes().to_vec()),
        }
    }

    /// How long the content of such a frame may be; `None`: there is no such frame. To be asked before any of it is
    /// read.
    pub fn longest(what: u8) -> Option<usize> {
        match what {
            b'v' => Some(LONGEST_EVENT_BYTES),
            b'o' | b'e' => Some(LONGEST_DATA_BYTES),
            b't' | b'x' => Some(4),
            b'k' => Some(LONGEST_QUESTION_BYTES),
            b'd' | b'f' => Some(LONGEST_DOCUMENT_BYTES as usize),
            _ => None,
        }
    }

    /// # Errors
    /// The content does not fit what it says it is.
    pub fn decode(what: u8, content: Vec<u8>) -> Result<FromFar, Refused> {
        Ok(match what {
            b'v' => FromFar::Event(parsed(&content)?),
            b'o' => FromFar::Output(content),
            b'e' => FromFar::ErrorOutput(content),
            b't' => FromFar::InputTaken(u32::from_be_bytes(four(&content)?)),
            b'k' => FromFar::Question(parsed(&content)?),
            b'd' => FromFar::Done(parsed(&content)?),
            b'f' => FromFar::Failed(parsed(&content)?),
            b'x' => FromFar::Exit(i32::from_be_bytes(four(&content)?)),
            _ => return Err(unknown(what)),
        })
    }
}

impl ToFar {
    /// What it is, and its content.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            ToFar::Input(bytes) => (b'i', bytes.clone()),
            ToFar::InputEnd => (b'n', Vec::new()),
            ToFar::Resize(size) => (b'r', [size.rows.to_be_bytes(), size.columns.to_be_bytes()].concat()),
            ToFar::Signal(name) => (b's', name.clone().into_bytes()),
            ToFar::Cancel => (b'c', Vec::new()),
            ToFar::Given(given) => (b'g', json(given)),
            ToFar::Piece(bytes) => (b'b', bytes.clone()),
            ToFar::OutputUnread => (b'p', Vec::new()),
            ToFar::ErrorOutputUnread => (b'q', Vec::new()),
        }
    }

    /// As [`FromFar::longest`].
    pub fn longest(what: u8) -> Option<usize> {
        match what {
            b'i' => Some(LONGEST_DATA_BYTES),
            b'n' | b'c' | b'p' | b'q' => Some(0),
            b'r' => Some(4),
            b's' => Some(16),
            b'g' => Some(LONGEST_QUESTION_BYTES),
            b'b' => Some(LONGEST_PIECE_BYTES),
            _ => None,
        }
    }

    /// # Errors
    /// As [`FromFar::decode`].
    pub fn decode(what: u8, content: Vec<u8>) -> Result<ToFar, Refused> {
        Ok(match what {
            b'i' => ToFar::Input(content),
            b'n' => ToFar::InputEnd,
            b'r' => {
                let [a, b, c, d] = four(&content)?;
                ToFar::Resize(Size { rows: u16::from_be_bytes([a, b]), columns: u16::from_be_bytes([c, d]) })
            }
            b's' => ToFar::Signal(String::from_utf8(content).map_err(|_| "a signal's name is no text")?),
            b'c' => ToFar::Cancel,
            b'g' => ToFar::Given(parsed(&content)?),
            b'b' => ToFar::Piece(content),
            b'p' => ToFar::OutputUnread,
            b'q' => ToFar::ErrorOutputUnread,
            _ => return Err(unknown(what)),
        })
    }
}

/// The bytes before the content.
pub fn header(what: u8, length: usize) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [what, a, b, c, d]
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Plain data with text keys always has a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(content: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

fn four(content: &[u8]) -> Result<[u8; 4], Refused> {
    content.try_into().map_err(|_| format!("a frame of {} bytes instead of 4", content.len()))
}

fn unknown(what: u8) -> Refused {
    format!("there is no frame of kind {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::supply::Credentials;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let told = Told { causes: vec!["a".into(), "b".into()], hint: None, kind: Kind::NotFound };
        for frame in [
            FromFar::Event(Event::Note { text: "x".into() }),
            FromFar::Output(vec![0, 255]),
            FromFar::InputTaken(7),
            FromFar::Question(Question::Length { image: "/x.tar".into(), file: None }),
            FromFar::Done(serde_json::json!({"a": [1]})),
            FromFar::Failed(told),
            FromFar::Exit(-1),
        ] {
            let (what, content) = frame.encode();
            assert!(content.len() <= FromFar::longest(what).unwrap());
            assert_eq!(FromFar::decode(what, content), Ok(frame));
        }
        for frame in [
            ToFar::Input(vec![1]),
            ToFar::Resize(Size { rows: 3, columns: 4 }),
            ToFar::Signal("INT".into()),
            ToFar::Given(Given::Credentials { found: Some(Credentials::IdentityToken("x".into())) }),
            ToFar::Given(Given::Length { bytes: None }),
            ToFar::Piece(vec![7; LONGEST_PIECE_BYTES]),
        ] {
            let (what, content) = frame.encode();
            assert!(content.len() <= ToFar::longest(what).unwrap());
            assert_eq!(ToFar::decode(what, content), Ok(frame));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_understood_and_never_panics(what: u8, content: Vec<u8>) {
            let _ = FromFar::decode(what, content.clone());
            let _ = ToFar::decode(what, content);
        }
    }
}

//! What verbs tell while they work. Verbs send events; one file of the cli prints them.

use serde::{Deserialize, Serialize};

/// Something a person may want to see while waiting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step of a longer work begins ("pulling debian:bookworm").
    Step { text: String },
    /// A step is done; what there is to say about it ("started dev").
    Done { text: String },
    /// Something that works but that the user should know.
    Note { text: String },
    /// Something is wrong but the work goes on.
    Warning { text: String },
    /// A transfer of known or unknown length exists from now on. `id` is unique among open transfers.
    TransferBegan { id: String, label: String, total_bytes: Option<u64> },
    /// So much of it is done, in all.
    TransferAt { id: String, done_bytes: u64 },
    /// It is complete; `label` replaces the first one ("a1b2c3 exists already").
    TransferEnded { id: String, label: String },
    /// A line a command printed while it ran for us (setup, hooks).
    Output { origin: String, line: String },
}

/// Where events go. Shared by threads.
pub trait Events: Send + Sync {
    fn send(&self, event: Event);
}

impl dyn Events + '_ {
    pub fn step(&self, text: impl Into<String>) {
        self.send(Event::Step { text: text.into() });
    }

    pub fn done(&self, text: impl Into<String>) {
        self.send(Event::Done { text: text.into() });
    }

    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.send(Event::Warning { text: text.into() });
    }
}

/// Events nobody listens to.
pub struct Unheard;

impl Events for Unheard {
    fn send(&self, _: Event) {}
}

//! What the controller asks of a replica (the keeper of one tree) and what a replica tells. Both replicas, the one in
//! this process and the one at the far end, are spoken to in these words only.

use super::chunks::Chunk;
use super::life::LifeId;
use super::names::Rules;
use super::path::{Blob, TreePath};
use super::tree::{Change, Hash, Leaf};
use serde::{Deserialize, Serialize};

/// Raised with every change that an older program would misread.
pub const PROTOCOL: u32 = 6;

/// What stands first on the stream, from each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    /// Patterns of the mount; only the host's count.
    pub ignore: Vec<String>,
    /// Names this copy of the tree: another one has other history. Drawn when its state folder is first used.
    pub replica: [u8; 16],
    /// Another one than before: its computer went down with work that may not have been on disk.
    pub life: LifeId,
    /// What the file system of this side makes of names; only the far side's counts.
    pub rules: Rules,
}

/// A number by which an answer finds its question.
pub type Ticket = u64;

/// To a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Read the tree, and from then on tell what changes. If its digest is still `known`, say no more than that.
    Scan { known: Hash },
    /// Whole small files.
    Read(Vec<ReadFile>),
    /// A piece of a large one.
    ReadPiece { ticket: Ticket, path: TreePath, offset: u64, length: u32 },
    /// Steps, to be done in order.
    Do(Vec<Order>),
    /// A large file is going to come in pieces: how much of it is here already? A file of that content may be at `own`,
    /// or have been there a moment ago.
    Begin { ticket: Ticket, hash: Hash, size_bytes: u64, own: Option<TreePath> },
    /// The next piece.
    Piece { ticket: Ticket, data: Blob },
    /// The next piece is in a file of the receiver's own tree.
    Copy { ticket: Ticket, path: TreePath, offset: u64, length: u64 },
    /// Of which chunks do the first so many bytes of this file consist?
    Cut { ticket: Ticket, path: TreePath, size_bytes: u64, average_bytes: u32 },
    /// It will not be finished now; what came may be of use later, or not.
    Abandon { ticket: Ticket, keep: bool },
    /// Look at everything that changed until now, tell it, then answer.
    Barrier { ticket: Ticket },
    /// Write to disk what was changed, then answer; no answer if it cannot.
    Settle { ticket: Ticket },
    /// Put back what the last batch replaced or deleted.
    Undo { ticket: Ticket },
}

/// A file to read, and what it should be: another content is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    pub ticket: Ticket,
    pub path: TreePath,
    pub hash: Hash,
    pub size_bytes: u64,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub ticket: Ticket,
    pub path: TreePath,
    pub old: Option<Leaf>,
    pub new: Option<Leaf>,
    pub body: Body,
}

/// Where the content of a new file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// It is no file, or the content is what it was and only the mode changes.
    None,
    Inline(Blob),
    /// It came in pieces.
    Staged,
    /// A file of the same content is (or was a moment ago) in the receiver's own tree.
    Own(TreePath),
    /// It stands there already under this name of the same folder, which is the same to this file system.
    Renamed(TreePath),
}

/// From a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tell {
    /// What is different from what was told before.
    Changes(Vec<Change>),
    /// All of the tree has been told. `whole`: it was told from nothing, else it is as the controller knew it.
    Scanned {
        whole: bool,
        digest: Hash,
    },
    /// The tree cannot be read at all: the root is gone or is not what it was.
    Lost {
        reason: String,
    },
    /// A file that is so large that it pays to send only what is new of it has begun to be read.
    Reading {
        path: TreePath,
        size_bytes: u64,
    },
    Contents(Vec<(Ticket, Option<Blob>)>),
    /// `None`: the file is gone or shorter.
    Piece {
        ticket: Ticket,
        data: Option<Blob>,
    },
    Outcomes(Vec<(Ticket, Outcome)>),
    /// So many bytes of the large file are here.
    Begun {
        ticket: Ticket,
        have: u64,
    },
    /// A piece was written, or cannot be; then the end says so.
    Written {
        ticket: Ticket,
    },
    /// The next chunks of a file; `None`: it cannot be read.
    Chunks {
        ticket: Ticket,
        chunks: Option<Vec<Chunk>>,
        last: bool,
    },
    Barrier {
        ticket: Ticket,
    },
    Settled {
        ticket: Ticket,
    },
    /// How many came back, or why none could.
    Undone {
        ticket: Ticket,
        undone: Result<u32, String>,
    },
    /// Something a person should know.
    Note(String),
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    /// The folder was to go and holds nothing but what stays apart: that is as good.
    Stays,
    /// Something else was there, or the content was not what it should be: what is there has been told before this.
    Refused,
    /// There is no file with that content here: send it.
    NeedsContent,
    /// The system said no.
    Failed(String),
}

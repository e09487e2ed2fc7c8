//! Two trees, one truth: keeps a folder the same on both sides of a byte stream.
//!
//! Each side has a `replica` that reads its tree and does what it is told; the `controller` on the host knows both trees
//! and what they last agreed on, plans rounds (`reconcile`) and moves content between them. The replica of the far side
//! is spoken to over a stream (`far`), in the same words (`message`) as the one in this process.

mod apply;
mod aside;
mod background;
mod bulk;
mod chunks;
mod commands;
mod content;
mod controller;
mod delta;
mod early;
pub mod far;
mod fitting;
mod flushing;
mod folders;
mod git;
mod guard;
mod hearing;
mod holes;
mod issue;
mod keeping;
mod lanes;
mod life;
mod link;
mod lists;
mod losing;
mod message;
mod modes;
mod names;
mod one_way;
mod opening;
mod outgoing;
mod path;
mod patterns;
mod planning;
mod queue;
mod reading;
mod reconcile;
mod replica;
mod scan;
mod session;
mod settling;
mod stage;
mod store;
mod torn;
mod trash;
mod tree;
mod undo;
mod unread;
mod unsettled;
pub mod version;
mod watch;
mod wire;
mod withheld;
mod worker;

pub use replica::Owner;
pub use session::{Opener, Session, SessionStart};

#[cfg(test)]
mod tests;

//! The far side: in the managed VM or on a remote host. It serves the streams of a `devenv` elsewhere and calls the verbs
//! that devenv would have called.
//!
//! The agent itself only passes bytes on. Each verb, and each program that enters a box, is a process of its own: it has
//! to enter user namespaces, which takes a process of one thread, and it may be interrupted without harm to others.

mod asker;
pub mod child;
mod connect;
mod enter;
pub mod guest;
mod programs;
pub mod ssh;
pub mod stdio;
pub mod stream;
mod verb;

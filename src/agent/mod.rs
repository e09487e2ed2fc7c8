//! The far side: in the managed VM or on a remote host. It serves the streams of a `devenv` elsewhere and calls the verbs
//! that devenv would have called.

mod connect;
pub mod stdio;
pub mod stream;

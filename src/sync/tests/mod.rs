//! Tests that need more than one file of this folder.

mod reconcile;
mod rounds;
mod world;

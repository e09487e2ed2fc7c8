//! Tests that need more than one file of this folder.

mod names;
mod reconcile;
mod rounds;
mod world;

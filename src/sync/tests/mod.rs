//! Tests that need more than one file of this folder.

mod faults;
mod reconcile;
mod rounds;
mod world;

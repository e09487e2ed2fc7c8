//! Tests that need more than one file of this folder.

mod aside;
mod deltas;
mod faults;
mod keeping;
mod names;
mod power;
mod reconcile;
mod rounds;
mod slices;
pub(super) mod world;

/// Bytes that no two seeds have in common, and that do not repeat.
pub fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

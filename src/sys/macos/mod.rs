//! What macOS offers.

pub mod virtualization;

//! `devenv oci` beside runc: the same bundles, the same things seen from inside.
//!
//! Needs root, runc and a static busybox; where one is missing a test says so and proves nothing, and with `CI` set it
//! fails.

#[path = "oci/bench.rs"]
mod bench;
#[path = "oci/inside.rs"]
mod inside;
#[path = "oci/life.rs"]
mod life;

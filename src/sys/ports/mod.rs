//! Ports of the host: sockets that wait for whoever wants something behind them, which numbers they get, and who holds a
//! number that is taken.

mod bind;
mod board;
#[cfg(target_os = "linux")]
mod holder;
#[cfg(not(target_os = "linux"))]
#[path = "holder_elsewhere.rs"]
mod holder;
mod opening;
mod taken;

pub use bind::{Given, Listener};
pub use board::{Board, Prepared, Wanted};
pub use holder::find as find_holder;
pub use opening::{Place, Refusal, exact_place};
pub use taken::{Holder, describe_taken};

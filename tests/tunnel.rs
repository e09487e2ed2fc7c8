//! Local ports that lead elsewhere: real sockets at both ends, and between them many streams over one connection.

#[path = "tunnel/far.rs"]
mod far;
#[path = "tunnel/numbers.rs"]
mod numbers;
#[path = "tunnel/relays.rs"]
mod relays;

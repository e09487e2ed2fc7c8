//! The connection between a host and the guest of its VM: the real server and the real client, on a loopback socket.

#[path = "ssh/pair.rs"]
mod pair;
#[path = "ssh/refusals.rs"]
mod refusals;
#[path = "ssh/streams.rs"]
mod streams;
#[path = "ssh/vsock.rs"]
mod vsock;

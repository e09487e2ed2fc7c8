//! The network of one project: a router namespace with a bridge, one namespace a box, names, ports, and the way out.

pub mod address;
mod bind;
mod datagram;
mod dns;
mod egress;
mod gates;
pub mod holder;
mod ingress;
mod inside;
mod names;
mod ping;
mod plan;
mod project;
mod publish;
mod relay;
mod resolvers;
mod router;
mod steered;
mod task;
mod upstream;
mod visit;

pub use bind::Given;
pub use ingress::Target;
pub use project::{Begun, ProjectNetwork, Refusal, Unfinished};

//! The network of one project: a router namespace with a bridge, one namespace a box, names, ports, and the way out.

pub mod address;
mod datagram;
mod dns;
mod egress;
mod gates;
mod ingress;
mod inside;
mod names;
mod ping;
mod plan;
mod project;
mod relay;
mod resolvers;
mod router;
mod steered;
mod upstream;
mod visit;

pub use ingress::Target;
pub use project::{Begun, ProjectNetwork, Unfinished};

//! Plain data that every row above talks about. Nothing here does I/O, reads a clock or an environment.

pub mod call;
pub mod event;
pub mod failure;
pub mod far;
pub mod frame;
pub mod guest;
pub mod host;
pub mod image;
pub mod limits;
pub mod mount;
pub mod name;
pub mod oci;
pub mod place;
pub mod port;
pub mod process;
pub mod project;
pub mod request;
pub mod settings;
pub mod status;
pub mod supply;
pub mod sync;
pub mod there;
pub mod vm;
pub mod wire;

pub use event::{Event, Events};
pub use failure::{Failure, Kind, Result, Trying};
pub use host::Host;
pub use image::{ImageReference, ImageSource};
pub use limits::Limits;
pub use mount::{Mount, SyncMode, Tmpfs, VolumeMount};
pub use name::{BoxName, ProjectId, VolumeName};
pub use place::{Place, RemoteHost};
pub use port::{HostPort, PortAddress, PortRequest, Protocol, PublishedPort};
pub use project::{BoxWanted, NetworkWanted, Project, SecurityWanted};
pub use settings::Settings;
pub use vm::{VmPaths, VmSettings};

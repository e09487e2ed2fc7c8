//! What is asked of `devenv oci`.

use std::path::PathBuf;

/// `devenv oci create`.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    pub id: String,
    /// Folder with config.json.
    pub bundle: PathBuf,
    /// Where the first process's id is written.
    pub pid_file: Option<PathBuf>,
    /// Listening unix socket that gets the controlling end of the program's terminal.
    pub console_socket: Option<PathBuf>,
    /// Descriptors from 3 on that the program gets from the caller.
    pub preserved_descriptors: u32,
}

/// One of the operations of an OCI runtime.
#[derive(Debug, Clone)]
pub enum OciRequest {
    Create(CreateRequest),
    Start { id: String },
    State { id: String },
    Kill { id: String, signal: String, all: bool },
    Delete { id: String, force: bool },
    Features,
}

//! A box as its first process is told about it.

use crate::model::{Failure, Result};
use crate::sys::linux::seccomp::Flags;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything the birth of one box needs, as plain data. The OCI spec says what the box is; the rest says what the
/// spec has no words for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub spec: Spec,
    pub root: Root,
    /// Files written into the box before its first program runs, replacing what is there.
    pub files: Vec<WrittenFile>,
    /// Certificates to trust besides the image's, as PEM texts.
    #[serde(default)]
    pub authorities: Vec<String>,
    /// The host's user, to be known in the box under the same name and numbers.
    pub account: Option<HostAccount>,
    /// Who the program runs as, by the box's own passwd and group files; `None`: as the spec says in numbers.
    pub user: Option<String>,
    /// Only one id is mapped: the program appears as its user in a nested user namespace.
    pub single_id: bool,
    pub first: FirstProcess,
    /// Control group folders to join before the box is made.
    pub cgroups: Vec<PathBuf>,
    /// Compiled seccomp programs, in the order of loading.
    pub seccomp: Vec<PathBuf>,
}

/// Where the box's root file system comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Root {
    /// Layers of an image, bottom first, under a writable one.
    Layers { lowers: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
    /// This computer's own tree, read-only, under a writable layer; `hidden` places are empty in it.
    /// `layers` are changes kept from such boxes, oldest first.
    Host { layers: Vec<PathBuf>, upper: PathBuf, work: PathBuf, hidden: Vec<PathBuf> },
    /// The folder that the spec names, as it is.
    Folder,
}

/// A small file put into the box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WrittenFile {
    pub path: PathBuf,
    pub content: Vec<u8>,
    pub mode: u32,
}

/// The host's user as the box knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAccount {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

/// What process 1 of the box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstProcess {
    /// Our init, and nothing else.
    Idle,
    /// Our init, with the spec's program as its child.
    Supervised,
    /// The spec's program itself, as `oci create` promises; it waits for the start.
    Program {
        id: String,
        bundle: PathBuf,
        /// How many descriptors behind the standard streams the program gets from the caller.
        preserved_descriptors: u32,
        seccomp_flags: Flags,
    },
}

/// What comes back from a birth on the report pipe, one JSON line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The box's first process exists: its id as the host sees it.
    Born { pid: u32 },
    /// Its tree is put together: hooks of the runtime's side may run now, and an answer is waited for.
    Assembled,
    /// The box is complete and its program runs, or waits for its start.
    Ready,
    /// It could not be made.
    Failed { causes: Vec<String>, hint: Option<String>, command: CommandTrouble },
}

/// Whether the box's own command was to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandTrouble {
    None,
    NotFound,
    NotExecutable,
}

/// How a box's program ended, as its first process writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub exit_code: i32,
    /// Seconds since 1970.
    pub ended_at_s: u64,
}

/// Turns a failure into what can be sent, with its causes.
pub fn report(failure: &Failure) -> Report {
    use crate::model::Kind;
    let command = match failure.get_kind() {
        Kind::CommandNotFound => CommandTrouble::NotFound,
        Kind::NotExecutable => CommandTrouble::NotExecutable,
        _ => CommandTrouble::None,
    };
    Report::Failed { causes: failure.chain(), hint: failure.get_hint().map(str::to_owned), command }
}

/// The failure that was sent.
pub fn failure(causes: Vec<String>, hint: Option<String>, command: CommandTrouble) -> Failure {
    use crate::model::Kind;
    let mut rest = causes.into_iter().rev();
    let innermost = Failure::new(rest.next().unwrap_or_else(|| "the box could not be made".into()));
    let whole = rest.fold(innermost, |cause, what| Failure::because(what, cause));
    let whole = match command {
        CommandTrouble::None => whole,
        CommandTrouble::NotFound => whole.kind(Kind::CommandNotFound),
        CommandTrouble::NotExecutable => whole.kind(Kind::NotExecutable),
    };
    match hint {
        Some(hint) => whole.hint(hint),
        None => whole,
    }
}

/// The part of a spec that names the program, which every spec of ours has.
///
/// # Errors
/// A spec from elsewhere lacks it.
pub fn process_of(spec: &Spec) -> Result<&oci_spec::runtime::Process> {
    spec.process().as_ref().ok_or_else(|| Failure::new("the OCI spec names no process"))
}

/// Gives the spec's process other words.
///
/// # Errors
/// The spec has no process.
pub fn set_arguments(spec: &mut Spec, arguments: Vec<String>) -> Result<()> {
    let mut process = process_of(spec)?.clone();
    process.set_args(Some(arguments));
    spec.set_process(Some(process));
    Ok(())
}

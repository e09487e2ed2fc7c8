//! `devenv oci`: the engine for those who bring a bundle of their own.

use super::site::Computer;
use crate::engine::oci::{container, features, state};
use crate::model::oci::OciRequest;
use crate::model::{Failure, Kind, Result, Trying};
use crate::sys::linux::{clock, signal};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Carries out one operation on the containers below `root`; the answer is what is to be printed. What fails where
/// nothing can be undone any more is told to `warn`.
///
/// # Errors
/// The operation's.
pub fn oci(root: Option<&Path>, request: &OciRequest, warn: &mut dyn FnMut(Failure)) -> Result<Option<Value>> {
    if matches!(request, OciRequest::Features) {
        return Ok(Some(features::document()));
    }
    let root = match root {
        Some(root) => root.to_owned(),
        None => Computer::look(None)?.layout.oci(),
    };
    match request {
        OciRequest::Create(wanted) => container::create(&root, wanted, std::env::consts::ARCH)?,
        OciRequest::Start { id } => container::start(&root, id, warn)?,
        OciRequest::State { id } => return Ok(Some(state::Container::read(&root, id)?.to_json())),
        OciRequest::Kill { id, signal: wanted, all } => {
            let unknown = || Failure::new(format!("there is no signal '{wanted}'")).kind(Kind::Usage);
            container::kill(&root, id, signal::number(wanted).ok_or_else(unknown)?, *all)?;
        }
        OciRequest::Delete { id, force } => container::delete(&root, id, *force, warn)?,
        OciRequest::Features => {}
    }
    Ok(None)
}

/// Appends a line to a log, as runc's users read it: JSON, or words with values.
///
/// # Errors
/// It cannot be written.
pub fn oci_log(path: &Path, as_json: bool, level: &str, message: &str) -> Result<()> {
    let time = clock::now_rfc3339();
    let line = match as_json {
        true => json!({ "level": level, "msg": message, "time": time }).to_string(),
        false => format!("time=\"{time}\" level={level} msg={message:?}"),
    };
    let file = File::options().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{line}")).trying(|| format!("cannot write {}", path.display()))
}

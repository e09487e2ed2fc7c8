//! Words of the command line that only the project knows.

use crate::model::event::Unheard;
use crate::ops::{Context, config};
use clap_complete::CompletionCandidate;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// The boxes of the project in the working directory that begin with `typed`. Nothing when its file is wrong: a shell's prompt is no
/// place for a report.
pub fn box_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let context = Context::new(Path::new("."), None, true, Arc::new(Unheard));
    let Ok(loaded) = context.and_then(|context| config::load(&context)) else { return Vec::new() };
    let typed = typed.to_string_lossy();
    let boxes = loaded.project.boxes.iter().filter(|wanted| wanted.name.as_str().starts_with(&*typed));
    boxes
        .map(|wanted| CompletionCandidate::new(wanted.name.as_str()).help(Some(wanted.image.to_string().into())))
        .collect()
}

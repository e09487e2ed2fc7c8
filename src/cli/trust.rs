//! Before somebody else's project is started for the first time: what it wants, and a yes.

use super::Caller;
use crate::model::{Failure, Result, Trying};
use crate::ops::{Context, config};

/// Shows what the project in `context` wants of this computer, and whether the user agrees.
///
/// # Errors
/// Nobody can be asked and `yes` was not given, or the project's file is wrong.
pub fn is_given(caller: &Caller, context: &Context, yes: bool) -> Result<bool> {
    let loaded = config::load(context)?;
    let project = &loaded.project;
    let wants = config::wants(&loaded);
    caller.ui.tell(&format!("{} in {} wants of this computer:", project.name, project.folder.display()));
    caller.ui.tell(&format!("  reads and writes its own folder, {}", project.folder.display()));
    for line in &wants {
        caller.ui.tell(&format!("  {line}"));
    }
    if yes {
        return Ok(true);
    }
    if context.no_input {
        let what = format!("{} is not trusted yet, and nobody can be asked", project.folder.display());
        return Err(Failure::new(what).hint("look at its devenv.toml, then repeat with --yes"));
    }
    dialoguer::Confirm::new()
        .with_prompt("Start it?")
        .default(false)
        .interact_on(&console::Term::stderr())
        .trying(|| "cannot ask on this terminal")
}

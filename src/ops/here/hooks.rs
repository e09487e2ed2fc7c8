//! `[hooks]`: shell lines run in `dev` after it was first created and after every start.

use super::site::{KnownBox, Site};
use crate::engine::enter::Enter;
use crate::model::event::Event;
use crate::model::{BoxName, Failure, Project, Result, Trying};
use crate::sys::linux::{exe, pipe, spawn};

/// Runs the hooks that are due in a box just started.
///
/// # Errors
/// A line failed.
pub fn run(site: &Site, project: &Project, known: Option<&mut KnownBox>, name: &BoxName) -> Result<()> {
    let Some(known) = known.filter(|_| name.is_dev()) else { return Ok(()) };
    if !known.record.created {
        run_lines(site, known, "created", &project.created_hooks)?;
        known.record.created = true;
        known.record.write(&site.paths.a_box(name))?;
    }
    run_lines(site, known, "started", &project.started_hooks)
}

fn run_lines(site: &Site, known: &KnownBox, hook: &str, lines: &[String]) -> Result<()> {
    let Some(life) = known.record.life.as_ref().filter(|_| !lines.is_empty()) else { return Ok(()) };
    site.context.events.step(format!("running the hook `{hook}`"));
    let mut enter: Enter = serde_json::from_value(life.entry.clone()).trying(|| "cannot read how to enter dev")?;
    enter.command = vec!["/bin/sh".into(), "-ec".into(), lines.join("\n")];
    let document = pipe::memory("hook", &serde_json::to_vec(&enter).trying(|| "cannot describe the hook")?)?;
    let program = exe::of_process(life.init.pid);
    let mut last = String::new();
    let code = spawn::lines_of(&program, &["__enter", "3"], vec![document], &mut |line| {
        site.context.events.send(Event::Output { origin: "dev".into(), line: line.to_owned() });
        last = line.to_owned();
    })?;
    if code == 0 {
        return Ok(());
    }
    let what = format!("the hook `{hook}` failed with exit code {code}");
    let failure = if last.is_empty() { Failure::new(what) } else { Failure::because(what, last) };
    Err(failure.hint("mend the lines under [hooks] and run `devenv up` again"))
}

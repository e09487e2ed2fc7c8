//! `devenv vm`

use super::Caller;
use super::age::{now_seconds, span};
use crate::model::status::ProjectRunning;
use crate::model::vm::{VmState, VmStatus};
use crate::model::{Failure, Result, Trying};
use crate::ops::there::vm;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;

/// Start, stop and look at the managed virtual machine, the place `vm`
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct VmArguments {
    #[command(subcommand)]
    pub command: VmCommand,
}

#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Start the VM, or heal it; `devenv up` does so by itself
    Start,
    /// Stop the VM with every box in it; its disk stays
    Stop {
        /// Do not ask when boxes run in it
        #[arg(short, long)]
        yes: bool,
    },
    /// Show how the VM fares
    Status,
    /// Look into the VM over its SSH connection: its kernel, memory, disk and processes
    #[command(after_help = "There is neither a shell nor any other program in the VM: only devenv.")]
    Ssh,
    /// Remove the VM with its disk: every image, box and volume in it
    Rm {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

pub fn run(caller: &Caller, words: &VmArguments) -> Result<u8> {
    let context = &caller.context;
    match &words.command {
        VmCommand::Start => show(caller, &vm::start(context)?)?,
        VmCommand::Stop { yes } => stop(caller, *yes)?,
        VmCommand::Status => show(caller, &vm::status(context)?)?,
        VmCommand::Ssh => caller.ui.print(&vm::report(context)?)?,
        VmCommand::Rm { yes } => remove(caller, *yes)?,
    }
    Ok(0)
}

fn stop(caller: &Caller, yes: bool) -> Result<()> {
    let context = &caller.context;
    // Of one that does not answer it cannot be told; it ends all the same.
    let running = if yes { Vec::new() } else { vm::boxes(context).unwrap_or_default() };
    if !running.is_empty() && !is_agreed(caller, "stop", &told(&running))? {
        return Err(Failure::new("the VM was not stopped"));
    }
    if !vm::stop(context)? {
        context.events.note("the VM does not run");
    }
    Ok(())
}

fn remove(caller: &Caller, yes: bool) -> Result<()> {
    let context = &caller.context;
    let status = vm::status(context)?;
    if status.state == VmState::Absent && status.disk_used_bytes == 0 {
        context.events.note("there is no VM");
        return vm::remove(context);
    }
    if !yes && !is_agreed(caller, "remove", &what_is_lost(caller, &status))? {
        return Err(Failure::new("the VM was not removed"));
    }
    vm::remove(context)?;
    context.events.done("removed the VM");
    Ok(())
}

fn what_is_lost(caller: &Caller, status: &VmStatus) -> String {
    let size = HumanBytes(status.disk_used_bytes);
    let disk = format!("its disk holds {size}: every image, box and volume in it");
    match vm::boxes(&caller.context) {
        Ok(running) if !running.is_empty() => format!("{}; {disk}", told(&running)),
        _ if status.state == VmState::Running => format!("it runs; {disk}"),
        _ => disk,
    }
}

/// The boxes that run, by project.
fn told(running: &[ProjectRunning]) -> String {
    let one = |project: &ProjectRunning| {
        format!("{} of {} ({})", project.boxes.join(" and "), project.project, project.path.display())
    };
    let projects: Vec<String> = running.iter().map(one).collect();
    format!("in it run {}", projects.join(", "))
}

/// Asks whether to go on, with what that costs.
fn is_agreed(caller: &Caller, act: &str, cost: &str) -> Result<bool> {
    if caller.context.no_input {
        return Err(Failure::because(format!("cannot {act} the VM without asking, and nobody can be asked"), cost)
            .hint("repeat with --yes"));
    }
    caller.ui.tell(cost);
    dialoguer::Confirm::new()
        .with_prompt(format!("Really {act} the VM?"))
        .default(false)
        .interact_on(&console::Term::stderr())
        .trying(|| "cannot ask on this terminal")
}

fn show(caller: &Caller, status: &VmStatus) -> Result<()> {
    match caller.json {
        true => caller.ui.print_json(status),
        false => caller.ui.print(&text(status, now_seconds())),
    }
}

fn text(status: &VmStatus, now_s: u64) -> String {
    let mut lines = vec![("state", status.state.to_string())];
    if let Some(reason) = &status.reason {
        lines.push(("reason", reason.clone()));
    }
    lines.push(("cpus", status.cpus.to_string()));
    lines.push(("memory", HumanBytes(status.memory_bytes).to_string()));
    let used = HumanBytes(status.disk_used_bytes);
    lines.push(("disk", format!("{}, of which {used} are taken", HumanBytes(status.disk_bytes))));
    if let Some(accelerator) = status.accelerator {
        lines.push(("accelerator", accelerator.to_string()));
    }
    if let Some(kernel) = &status.kernel {
        lines.push(("kernel", kernel.clone()));
    }
    if let Some(port) = status.ssh_port {
        lines.push(("ssh", format!("127.0.0.1:{port}")));
    }
    if let Some(pid) = status.pid {
        lines.push(("process", pid.to_string()));
    }
    if let Some(started_s) = status.started_at_s {
        lines.push(("up", span(now_s.saturating_sub(started_s))));
    }
    lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_told_by_project() {
        let project = |name: &str, boxes: &[&str]| ProjectRunning {
            project: name.into(),
            path: format!("/w/{name}").into(),
            boxes: boxes.iter().map(ToString::to_string).collect(),
        };
        let running = [project("shop", &["dev", "db"]), project("blog", &["dev"])];
        assert_eq!(told(&running), "in it run dev and db of shop (/w/shop), dev of blog (/w/blog)");
    }
}

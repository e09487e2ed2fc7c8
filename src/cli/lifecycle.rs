//! `devenv stop`, `start`, `restart`, `down`

use super::Caller;
use super::up::box_name;
use crate::model::{BoxName, Result};
use crate::ops::{Context, verbs};
use clap::Args;
use clap_complete::ArgValueCompleter;

/// Stop the boxes; what was written in them stays
#[derive(Debug, Args)]
pub struct StopArguments {
    #[command(flatten)]
    pub which: WhichArguments,
}

/// Start boxes that were stopped
#[derive(Debug, Args)]
pub struct StartArguments {
    #[command(flatten)]
    pub which: WhichArguments,
}

/// Stop and start the boxes
#[derive(Debug, Args)]
pub struct RestartArguments {
    #[command(flatten)]
    pub which: WhichArguments,
}

/// One box or all.
#[derive(Debug, Args)]
pub struct WhichArguments {
    /// Default: every box of the project
    #[arg(value_name = "BOX", add = ArgValueCompleter::new(super::complete::box_names))]
    pub name: Option<String>,
}

/// Remove the boxes and their network; never the source
#[derive(Debug, Args)]
#[command(after_help = "\
Named volumes stay, unless --volumes is given.")]
pub struct DownArguments {
    /// Remove the project's named volumes too, with all that is in them
    #[arg(long)]
    pub volumes: bool,
}

pub fn run_stop(caller: &Caller, words: &StopArguments) -> Result<u8> {
    on_boxes(caller, &words.which, verbs::stop)
}

pub fn run_start(caller: &Caller, words: &StartArguments) -> Result<u8> {
    on_boxes(caller, &words.which, verbs::start)
}

pub fn run_restart(caller: &Caller, words: &RestartArguments) -> Result<u8> {
    on_boxes(caller, &words.which, verbs::restart)
}

pub fn run_down(caller: &Caller, words: &DownArguments) -> Result<u8> {
    verbs::down(&caller.context, words.volumes)?;
    Ok(0)
}

fn on_boxes(caller: &Caller, which: &WhichArguments, verb: fn(&Context, Option<&BoxName>) -> Result<()>) -> Result<u8> {
    let name = which.name.as_deref().map(box_name).transpose()?;
    verb(&caller.context, name.as_ref())?;
    Ok(0)
}

//! `devenv logs`

use super::Caller;
use super::up::box_name;
use crate::model::Result;
use crate::model::request::LogsRequest;
use crate::ops::verbs;
use clap::Args;
use clap_complete::ArgValueCompleter;

/// Print what the boxes' commands wrote
#[derive(Debug, Args)]
#[command(after_help = "\
Without BOX, every box, each line behind its box's name.")]
pub struct LogsArguments {
    #[arg(value_name = "BOX", add = ArgValueCompleter::new(super::complete::box_names))]
    pub name: Option<String>,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<u64>,
}

pub fn run(caller: &Caller, words: LogsArguments) -> Result<u8> {
    let name = words.name.map(|word| box_name(&word)).transpose()?;
    let request = LogsRequest { name, follow: words.follow, tail: words.tail };
    verbs::logs(&caller.context, &request, &mut caller.ui.data())?;
    Ok(0)
}

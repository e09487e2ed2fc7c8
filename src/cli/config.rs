//! `devenv config`

use super::Caller;
use crate::model::Result;
use crate::ops::{config, verbs};
use clap::{Args, Subcommand};

/// Show and check what devenv.toml says
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct ConfigArguments {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the effective project, each value with its source
    Show,
    /// Tell all that is wrong in devenv.toml, devenv.local.toml and your own config.toml
    Check,
    /// Print the JSON schema of devenv.toml, for editors
    Schema,
}

pub fn run(caller: &Caller, words: &ConfigArguments) -> Result<u8> {
    match words.command {
        ConfigCommand::Show => show(caller)?,
        ConfigCommand::Check => {
            let project = config::load(&caller.context)?.project;
            let boxes = match project.boxes.len() {
                1 => "1 box".to_owned(),
                number => format!("{number} boxes"),
            };
            let folder = project.folder.display();
            caller.context.events.done(format!("{folder}/devenv.toml is fine: {} with {boxes}", project.name));
            if let Some(path) = verbs::check_settings(&caller.context)? {
                caller.context.events.done(format!("{} is fine", path.display()));
            }
        }
        ConfigCommand::Schema => caller.ui.print_json(&config::schema())?,
    }
    Ok(0)
}

/// TOML that says the same as the files, with the source of each value behind it.
fn show(caller: &Caller) -> Result<()> {
    let loaded = config::load(&caller.context)?;
    if caller.json {
        return caller.ui.print_json(&loaded.shown);
    }
    let longest = loaded.shown.iter().map(|shown| shown.key.chars().count()).max().unwrap_or_default();
    let left = |key: &str, value: &Option<String>| match value {
        Some(value) => format!("{key:longest$} = {value}"),
        None => format!("# {key}"),
    };
    // One long list must not push every source out of the window.
    const WIDEST: usize = 60;
    let widths = loaded.shown.iter().map(|shown| left(&shown.key, &shown.value).chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
    let lines = loaded.shown.iter().map(|shown| {
        let left = left(&shown.key, &shown.value);
        let pad = width.saturating_sub(left.chars().count());
        format!("{left}{:pad$}  # {}\n", "", shown.source)
    });
    caller.ui.print(&lines.collect::<String>())
}

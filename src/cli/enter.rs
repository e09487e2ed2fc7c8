//! `devenv shell` and `devenv exec`

use super::Caller;
use super::up::box_name;
use crate::model::Result;
use crate::model::request::EnterRequest;
use crate::ops::verbs;
use clap::Args;
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// Go inside a box: an interactive shell; starts the project if it is down
#[derive(Debug, Args)]
#[command(after_help = "\
The shell begins where you stand, if that folder is mounted in the box.")]
pub struct ShellArguments {
    /// Default: dev
    #[arg(value_name = "BOX", add = ArgValueCompleter::new(super::complete::box_names))]
    pub name: Option<String>,
    #[command(flatten)]
    pub how: HowArguments,
    /// Run this on the terminal instead of the shell
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Run a command in a box; its exit code is devenv's
#[derive(Debug, Args)]
#[command(override_usage = "devenv exec [OPTIONS] [BOX] -- CMD...")]
#[command(after_help = "\
Standard input, output and error are the command's. Exit codes of devenv's own: 125 devenv\n\
failed, 126 the command cannot be run, 127 it was not found, 128+N it was killed by signal N.")]
pub struct ExecArguments {
    /// Default: dev
    #[arg(value_name = "BOX", add = ArgValueCompleter::new(super::complete::box_names))]
    pub name: Option<String>,
    /// No terminal, even if there is one here
    #[arg(short = 'T')]
    pub no_terminal: bool,
    #[command(flatten)]
    pub how: HowArguments,
    /// The command, behind `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// As whom, where, and with what.
#[derive(Debug, Args)]
pub struct HowArguments {
    /// As this user of the box: NAME, UID, NAME:GROUP or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// In this folder of the box
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// With this variable
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

fn variable(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is written KEY=VALUE".to_owned()),
    }
}

pub fn run_shell(caller: &Caller, words: ShellArguments) -> Result<u8> {
    let request = request(words.name, words.how, words.command, None)?;
    verbs::enter(&caller.context, &request, true).map(to_exit_code)
}

pub fn run_exec(caller: &Caller, words: ExecArguments) -> Result<u8> {
    let terminal = words.no_terminal.then_some(false);
    let request = request(words.name, words.how, words.command, terminal)?;
    verbs::enter(&caller.context, &request, false).map(to_exit_code)
}

fn request(
    name: Option<String>,
    how: HowArguments,
    command: Vec<String>,
    terminal: Option<bool>,
) -> Result<EnterRequest> {
    let name = name.map(|word| box_name(&word)).transpose()?;
    Ok(EnterRequest { name, command, terminal, user: how.user, workdir: how.workdir, env: how.env })
}

/// An exit code as a process may have it.
pub fn to_exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

//! Every command and global flag.

use super::ui::Colour;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Start here:
  devenv init        write a devenv.toml for this folder
  devenv up          make what it says true
  devenv shell       go inside

Data goes to standard output, everything else to standard error.
Exit codes: 0 done, 1 failed, 2 the command line or a config file is wrong.";

/// Developer environments from one file: boxes, sources, ports. No daemon, no root.
#[derive(Debug, Parser)]
#[command(name = "devenv", version, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArguments {
    /// Work as if started in DIR
    #[arg(short = 'C', global = true, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub folder: PathBuf,
    /// Where boxes run: `here`, `vm` or `ssh://USER@HOST`
    #[arg(long, global = true, value_name = "PLACE")]
    pub place: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only data, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print every step, also on a terminal
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colour: auto, always or never; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub color: Colour,
    /// Never ask; fail where a question would be needed
    #[arg(long, global = true)]
    pub no_input: bool,
}

impl Default for GlobalArguments {
    fn default() -> GlobalArguments {
        GlobalArguments {
            folder: ".".into(),
            place: None,
            json: false,
            quiet: false,
            verbose: false,
            color: Colour::Auto,
            no_input: false,
        }
    }
}

/// The commands, in the order people meet them.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(super::init::InitArguments),
    Up(super::up::UpArguments),
    Shell(super::enter::ShellArguments),
    Exec(super::enter::ExecArguments),
    /// Show the boxes of this project: state, image, address, ports
    Status,
    /// Show where the boxes' ports are on this computer
    Ports,
    Logs(super::logs::LogsArguments),
    /// Show every project of yours
    List,
    Stop(super::lifecycle::StopArguments),
    Start(super::lifecycle::StartArguments),
    Restart(super::lifecycle::RestartArguments),
    Down(super::lifecycle::DownArguments),
    Image(super::image::ImageArguments),
    Config(super::config::ConfigArguments),
    Sync(super::sync::SyncArguments),
    Vm(super::vm::VmArguments),
    /// Tell what this computer can and cannot do, each finding with its fix
    #[command(after_help = "Exit code 1 when `devenv up` would fail.")]
    Doctor,
    Completions(super::completions::CompletionsArguments),
    #[command(hide = true)]
    Oci(super::oci::OciArguments),
}

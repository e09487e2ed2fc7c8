//! The command line: words in, one verb called, text out.
//!
//! Each command is one small file with its arguments and a `run`; `verbs` is the only door to what runs boxes; `ui` is the
//! only printer; `report` turns a failure into text.

mod age;
mod arguments;
mod complete;
mod completions;
mod config;
mod doctor;
mod enter;
mod image;
mod init;
mod lifecycle;
mod list;
mod logs;
mod oci;
mod ports;
mod report;
mod status;
mod sync;
mod table;
mod trust;
mod ui;
mod up;
mod vm;

pub use arguments::{Arguments, Command};

use crate::model::{Events, Result};
use crate::ops::Context;
use arguments::GlobalArguments;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use ui::Ui;

/// What a command is run with.
pub struct Caller {
    pub context: Context,
    pub ui: Arc<Ui>,
    /// `--json`
    pub json: bool,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(Arguments::command).complete();
    run_words(std::env::args_os())
}

/// Runs a command line, the program's name first.
pub fn run_words(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        // Help and version go to standard output and are no error.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Command::Oci(words) = arguments.command {
        return oci::run(words);
    }
    let ui = Arc::new(Ui::new(&arguments.global));
    let enters = matches!(arguments.command, Command::Shell(_) | Command::Exec(_));
    let code = match dispatch(arguments, ui.clone()) {
        Ok(code) => code,
        // Whoever read our output has gone: nobody is left to tell.
        Err(_) if ui.is_unread() => 0,
        Err(failure) => {
            ui.fail(&failure);
            report::exit_code(&failure, enters)
        }
    };
    ExitCode::from(code)
}

/// Ends a process of ours that entered a box: with the program's exit code, or with what went wrong.
pub fn finish_entered(outcome: Result<i32>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code.clamp(0, 255) as u8),
        Err(failure) => {
            // The words that chose colours stayed with the process that this one replaced.
            Ui::by_environment().fail(&failure);
            ExitCode::from(report::exit_code(&failure, true))
        }
    }
}

fn dispatch(arguments: Arguments, ui: Arc<Ui>) -> Result<u8> {
    let caller = caller(arguments.global, ui)?;
    match arguments.command {
        Command::Init(words) => init::run(&caller, &words),
        Command::Up(words) => up::run(&caller, &words),
        Command::Shell(words) => enter::run_shell(&caller, words),
        Command::Exec(words) => enter::run_exec(&caller, words),
        Command::Status => status::run(&caller),
        Command::Ports => ports::run(&caller),
        Command::Logs(words) => logs::run(&caller, words),
        Command::List => list::run(&caller),
        Command::Stop(words) => lifecycle::run_stop(&caller, &words),
        Command::Start(words) => lifecycle::run_start(&caller, &words),
        Command::Restart(words) => lifecycle::run_restart(&caller, &words),
        Command::Down(words) => lifecycle::run_down(&caller, &words),
        Command::Image(words) => image::run(&caller, &words),
        Command::Config(words) => config::run(&caller, &words),
        Command::Sync(words) => sync::run(&caller, &words),
        Command::Vm(words) => vm::run(&caller, &words),
        Command::Doctor => doctor::run(&caller),
        Command::Completions(words) => completions::run(&caller, &words),
        // Went its own way: it has neither a project nor a person before it.
        Command::Oci(_) => Ok(0),
    }
}

fn caller(global: GlobalArguments, ui: Arc<Ui>) -> Result<Caller> {
    let no_input = global.no_input || !std::io::stdin().is_terminal();
    let events: Arc<dyn Events> = ui.clone();
    let context = Context::new(&global.folder, global.place, no_input, events)?;
    Ok(Caller { context, ui, json: global.json })
}

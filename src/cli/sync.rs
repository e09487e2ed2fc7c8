//! `devenv sync`

mod text;

use super::Caller;
use crate::model::sync::{SyncAsk, SyncChoice, SyncReply};
use crate::model::{Failure, Kind, Result};
use crate::ops::verbs;
use clap::{Args, Subcommand};
use std::path::{Component, Path, PathBuf};

/// Look at and steer file sync, where boxes are in the VM or on a remote host
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct SyncArguments {
    #[command(subcommand)]
    pub command: SyncCommand,
}

#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Show how far it is, conflicts, and what is skipped and why
    Status,
    /// Wait until all that was saved is on both sides
    Flush,
    /// Stop carrying changes until `resume`
    Pause,
    /// Go on, also with what was held back because it looked like an accident
    Resume,
    /// Show both sides' versions of a file or folder
    Diff {
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// End conflicts by choosing a version; the other one goes to the trash of its side
    Resolve(ResolveArguments),
    /// Bring back what the last changes from the other side replaced or deleted on this one
    Undo,
    /// Forget what both sides agreed on and compare them anew; deletes nothing
    Reset,
}

#[derive(Debug, Args)]
pub struct ResolveArguments {
    #[command(flatten)]
    pub choice: ChoiceArguments,
    /// Which conflicts, in the syntax of .gitignore; `*` means all
    #[arg(value_name = "GLOB")]
    pub pattern: String,
}

/// Exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ChoiceArguments {
    /// This side's version goes over
    #[arg(long)]
    pub ours: bool,
    /// The other side's version comes here
    #[arg(long)]
    pub theirs: bool,
    /// Both stay: the other side's beside ours, as NAME.theirs-1
    #[arg(long)]
    pub both: bool,
}

impl ChoiceArguments {
    fn choice(&self) -> SyncChoice {
        match self {
            ChoiceArguments { theirs: true, .. } => SyncChoice::Theirs,
            ChoiceArguments { both: true, .. } => SyncChoice::Both,
            ChoiceArguments { .. } => SyncChoice::Ours,
        }
    }
}

pub fn run(caller: &Caller, words: &SyncArguments) -> Result<u8> {
    let ask = match &words.command {
        SyncCommand::Status => SyncAsk::Status,
        SyncCommand::Flush => SyncAsk::Flush,
        SyncCommand::Pause => SyncAsk::Pause,
        SyncCommand::Resume => SyncAsk::Resume,
        SyncCommand::Diff { path } => SyncAsk::Diff { path: absolute(&caller.context.folder, path) },
        SyncCommand::Resolve(words) => {
            SyncAsk::Resolve { choice: words.choice.choice(), pattern: words.pattern.clone() }
        }
        SyncCommand::Undo => SyncAsk::Undo,
        SyncCommand::Reset => SyncAsk::Reset,
    };
    show(caller, &ask, verbs::sync(&caller.context, &ask)?)?;
    Ok(0)
}

fn show(caller: &Caller, ask: &SyncAsk, reply: SyncReply) -> Result<()> {
    let done = |text: String| caller.context.events.done(text);
    match (ask, reply) {
        (_, SyncReply::Status { folders }) if caller.json => return caller.ui.print_json(&folders),
        (_, SyncReply::Status { folders }) => return caller.ui.print(&text::status(&folders)),
        (_, SyncReply::Diff(diff)) if caller.json => return caller.ui.print_json(&diff),
        (_, SyncReply::Diff(diff)) => return caller.ui.print(&text::diff(&diff, super::age::now_seconds())),
        (SyncAsk::Resolve { pattern, .. }, SyncReply::Count { count: 0 }) => {
            let nothing = Failure::new(format!("no conflict matches {pattern}")).kind(Kind::NotFound);
            return Err(nothing.hint("`devenv sync status` lists them"));
        }
        (SyncAsk::Resolve { .. }, SyncReply::Count { count }) => done(format!("resolved {}", many(count, "conflict"))),
        (_, SyncReply::Count { count: 0 }) => caller.context.events.note("there is nothing to bring back"),
        (_, SyncReply::Count { count }) => done(format!("brought back {}", many(count, "file"))),
        (SyncAsk::Pause, _) => done("paused file sync; `devenv sync resume` goes on".into()),
        (SyncAsk::Resume, _) => done("file sync goes on".into()),
        (SyncAsk::Reset, _) => done("both sides are compared anew".into()),
        (_, SyncReply::Done) => done("both sides have all that was saved".into()),
    }
    Ok(())
}

fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Without `.` and `..`, and without looking: what is meant may exist on the other side only.
fn absolute(folder: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(whole.pop()),
            component => whole.push(component),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_folder_one_stands_in() {
        let from = |path: &str| absolute(Path::new("/home/me/shop"), Path::new(path));
        assert_eq!(from("src/./a"), Path::new("/home/me/shop/src/a"));
        assert_eq!(from("../other/a"), Path::new("/home/me/other/a"));
        assert_eq!(from("/etc/a"), Path::new("/etc/a"));
    }
}

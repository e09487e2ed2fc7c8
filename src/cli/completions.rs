//! `devenv completions`

use super::Caller;
use crate::model::{Failure, Kind, Result, Trying};
use clap::{Args, ValueEnum};
use clap_complete::Shell;
use clap_complete::env::Shells;

/// Print what makes your shell complete commands and box names
#[derive(Debug, Args)]
#[command(after_help = "\
bash: echo 'source <(devenv completions bash)' >> ~/.bashrc\n\
zsh:  echo 'source <(devenv completions zsh)' >> ~/.zshrc\n\
fish: echo 'devenv completions fish | source' >> ~/.config/fish/config.fish")]
pub struct CompletionsArguments {
    pub shell: Shell,
}

pub fn run(caller: &Caller, words: &CompletionsArguments) -> Result<u8> {
    let name = words.shell.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let shells = Shells::builtins();
    let unknown = || Failure::new(format!("no completions for {name}")).kind(Kind::Usage);
    let completer = shells.completer(&name).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer
        .write_registration("COMPLETE", "devenv", "devenv", "devenv", &mut script)
        .trying(|| format!("cannot write the completions for {name}"))?;
    caller.ui.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

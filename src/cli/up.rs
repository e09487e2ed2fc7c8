//! `devenv up`

use super::{Caller, enter, status, trust};
use crate::model::request::{EnterRequest, UpRequest};
use crate::model::{BoxName, Failure, Kind, Result};
use crate::ops::{Context, verbs};
use clap::Args;
use clap_complete::ArgValueCompleter;
use std::io::IsTerminal;

/// Make what devenv.toml says true: pull, create, start, publish
#[derive(Debug, Args)]
#[command(after_help = "\
Safe to repeat: the next `up` changes only what differs. With a git URL, clone the repository\n\
into a folder of its name, show what its file wants of this computer, ask once, and go on to a\n\
shell.")]
pub struct UpArguments {
    /// Just these boxes and what they depend on; or one git URL
    #[arg(value_name = "SERVICE|GIT-URL[#BRANCH]", add = ArgValueCompleter::new(super::complete::box_names))]
    pub what: Vec<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Trust the cloned repository without being asked
    #[arg(short, long)]
    pub yes: bool,
}

pub fn run(caller: &Caller, words: &UpArguments) -> Result<u8> {
    if let [url] = words.what.as_slice()
        && is_git_url(url)
    {
        return clone_and_enter(caller, url, words);
    }
    let only = words.what.iter().map(|word| box_name(word)).collect::<Result<Vec<_>>>()?;
    bring_up(caller, &caller.context, &UpRequest { only, dry_run: words.dry_run })?;
    Ok(0)
}

fn bring_up(caller: &Caller, context: &Context, request: &UpRequest) -> Result<()> {
    let reply = verbs::up(context, request)?;
    if !request.dry_run {
        return status::print(caller, &reply.status);
    }
    if caller.json {
        return caller.ui.print_json(&reply.steps);
    }
    match reply.steps.is_empty() {
        true => context.events.note("nothing to do"),
        false => caller.ui.print(&(reply.steps.join("\n") + "\n"))?,
    }
    Ok(())
}

fn clone_and_enter(caller: &Caller, url: &str, words: &UpArguments) -> Result<u8> {
    let (url, branch) = match url.split_once('#') {
        Some((url, branch)) => (url, Some(branch)),
        None => (url, None),
    };
    let folder = verbs::clone(&caller.context, url, branch)?;
    let outer = &caller.context;
    let context = Context::new(&folder, outer.place.clone(), outer.no_input, outer.events.clone())?;
    if !trust::is_given(caller, &context, words.yes)? {
        outer.events.note(format!("nothing was started; the clone is in {}", folder.display()));
        return Ok(1);
    }
    bring_up(caller, &context, &UpRequest { only: Vec::new(), dry_run: words.dry_run })?;
    if words.dry_run || outer.no_input || !std::io::stdout().is_terminal() {
        return Ok(0);
    }
    verbs::enter(&context, &EnterRequest::default(), true).map(enter::to_exit_code)
}

/// `scheme://…`, `user@host:path`, or a path that ends in `.git`; a box's name has none of these.
fn is_git_url(word: &str) -> bool {
    let address = word.split('#').next().unwrap_or(word);
    let scp_like = address.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    address.contains("://") || scp_like || address.ends_with(".git")
}

/// A box's name from the command line.
///
/// # Errors
/// It is none.
pub fn box_name(word: &str) -> Result<BoxName> {
    BoxName::new(word).map_err(|why| Failure::new(format!("\"{word}\" cannot name a box: {why}")).kind(Kind::Usage))
}

#[cfg(test)]
mod tests {
    use super::is_git_url;

    #[test]
    fn urls_are_told_from_names() {
        for url in ["https://x.y/a", "git@x.y:a/b", "ssh://git@x/a#main", "../a.git", "file:///a"] {
            assert!(is_git_url(url), "{url}");
        }
        for name in ["db", "web-1", "dev"] {
            assert!(!is_git_url(name), "{name}");
        }
    }
}

//! Connecting to a place.

use super::call::refusal;
use super::far::lost;
use super::vm;
use crate::machine::Line;
use crate::machine::remote::{self, Access, Program};
use crate::model::far::{Answer, BUILD, LONGEST_DOCUMENT_BYTES, Request};
use crate::model::{Events, Failure, Place, Result, Trying};
use crate::ops::place::Origin;
use crate::state::Layout;
use crate::sys::framed::{read_document, write_document};
use crate::sys::program;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The architectures our releases are for, as `uname -m` says them.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// How long the far side may take to say who it is; an emulated guest on a busy computer takes seconds.
const HELLO_PATIENCE: Duration = Duration::from_secs(30);

/// How a place is reached.
pub struct Reach<'a> {
    pub place: &'a Place,
    pub layout: &'a Layout,
    /// Somebody sits at a terminal and may be asked.
    pub attended: bool,
    /// A VM that does not run is started: somebody wants something of it.
    pub starts: bool,
    pub events: &'a Arc<dyn Events>,
}

/// A connection to the far side of a place: the VM is started when it does not run.
///
/// # Errors
/// The place cannot be reached, or another version of the program answers there.
pub async fn connect(reach: &Reach<'_>) -> Result<Arc<dyn Line>> {
    let Reached { line, is_this_program } = reached(reach).await?;
    if !is_this_program {
        let answer = timeout(HELLO_PATIENCE, greet(&*line)).await;
        let late = || Err(Failure::new(format!("{} does not say which version it is", reach.place)));
        check_build(reach.place, &answer.unwrap_or_else(|_| late())?)?;
    }
    Ok(line)
}

/// A connection, and whether this very program is at its other end, so that it need not be asked.
struct Reached {
    line: Arc<dyn Line>,
    is_this_program: bool,
}

/// Asks the far side which build it is.
async fn greet(line: &dyn Line) -> Result<String> {
    let mut stream = line.open().await?;
    write_document(&mut stream, &Request::Hello).await.map_err(lost)?;
    match read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.map_err(lost)? {
        Answer::Hello { build, .. } => Ok(build),
        Answer::Failed { causes, hint } => Err(refusal(causes, hint)),
        Answer::Open => Err(Failure::new("the far side answered something else than it was asked")),
    }
}

/// Both sides have to be one version: there is no code for talking to others.
fn check_build(place: &Place, theirs: &str) -> Result<()> {
    if theirs == BUILD {
        return Ok(());
    }
    Err(match place {
        Place::Ssh(_) => Failure::new(format!("{place} runs another version of devenv ({theirs}, this is {BUILD})"))
            .hint("the file devenv-linux-ARCHITECTURE beside this program is of another version: install both anew"),
        Place::Vm | Place::Here => {
            Failure::new(format!("the VM was started by another version of devenv ({theirs}, this is {BUILD})"))
                .hint("`devenv vm stop`, which ends the boxes in it, then `devenv up`")
        }
    })
}

async fn reached(reach: &Reach<'_>) -> Result<Reached> {
    match reach.place {
        Place::Ssh(host) => {
            let sockets = sockets(reach.layout);
            let (attended, events) = (reach.attended, &**reach.events);
            let access = Access { sockets: &sockets, attended, programs: Arc::new(programs), events };
            let line = remote::connect(host, &access).await?;
            // It is found by its content.
            let is_this_program = std::env::consts::OS == "linux" && line.machine() == std::env::consts::ARCH;
            Ok(Reached { line: Arc::new(line), is_this_program })
        }
        Place::Vm => {
            let (events, starts) = (reach.events.clone(), reach.starts);
            let find = move || match starts {
                true => vm::ensure(&Origin::look()?, &*events).map(Some),
                false => vm::running(&Origin::look()?, &*events),
            };
            let found = tokio::task::spawn_blocking(find).await.trying(|| "cannot look for the VM")??;
            let access = found.ok_or_else(|| Failure::new("the VM does not run").hint("`devenv up` starts it"))?;
            Ok(Reached { line: Arc::new(vm::line(&access).await?), is_this_program: false })
        }
        Place::Here => Err(Failure::new("boxes of this computer need no connection")),
    }
}

/// Has ssh ask at the terminal what a keeper could not.
///
/// # Errors
/// ssh cannot connect.
pub async fn ask(reach: &Reach<'_>) -> Result<()> {
    match reach.place {
        Place::Ssh(host) => remote::ask(host, &sockets(reach.layout)).await,
        Place::Vm | Place::Here => Ok(()),
    }
}

fn sockets(layout: &Layout) -> PathBuf {
    layout.run().join("ssh")
}

/// Our program for each architecture: this very file where it runs on Linux, and those of a release beside it.
fn programs() -> Result<Vec<Program>> {
    let own = program::own_path().trying(|| "cannot find this program's file")?;
    let mut programs = Vec::new();
    if std::env::consts::OS == "linux" {
        programs.push(Program::in_file(&own, std::env::consts::ARCH)?);
    }
    let own = std::fs::canonicalize(&own).unwrap_or(own);
    for architecture in ARCHITECTURES {
        let beside = own.parent().unwrap_or(Path::new("/")).join(format!("devenv-linux-{architecture}"));
        if beside.is_file() && !programs.iter().any(|known| known.machine == architecture) {
            programs.push(Program::in_file(&beside, architecture)?);
        }
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_refused_with_what_to_do() {
        let remote = Place::parse("ssh://there").unwrap();
        for place in [&Place::Vm, &remote] {
            assert!(check_build(place, BUILD).is_ok());
        }
        let refused = check_build(&Place::Vm, "0.0.1/1").unwrap_err();
        assert!(refused.chain().join(": ").contains("another version of devenv (0.0.1/1"));
        assert!(refused.get_hint().is_some_and(|hint| hint.contains("`devenv vm stop`")));
        let refused = check_build(&remote, "0.0.1/1").unwrap_err();
        assert!(refused.get_hint().is_some_and(|hint| hint.contains("devenv-linux-")));
    }
}

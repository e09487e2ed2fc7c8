//! Connecting to a place.

use super::vm;
use crate::machine::remote::{self, Access, Program};
use crate::machine::{Line, clock};
use crate::model::{Events, Failure, Place, Result, Trying};
use crate::ops::place::Origin;
use crate::state::Layout;
use crate::sys::program;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The architectures our releases are for, as `uname -m` says them.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

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
/// The place cannot be reached.
pub async fn connect(reach: &Reach<'_>) -> Result<Arc<dyn Line>> {
    match reach.place {
        Place::Ssh(host) => {
            let programs = tokio::task::spawn_blocking(programs).await.trying(|| "cannot read our program")??;
            let sockets = sockets(reach.layout);
            let (attended, events) = (reach.attended, &**reach.events);
            let access = Access { sockets: &sockets, attended, programs: &programs, events };
            Ok(Arc::new(remote::connect(host, &access).await?))
        }
        Place::Vm => {
            let (events, starts) = (reach.events.clone(), reach.starts);
            let find = move || match starts {
                true => vm::ensure(&Origin::look()?, &*events).map(Some),
                false => vm::running(&Origin::look()?, &*events),
            };
            let found = tokio::task::spawn_blocking(find).await.trying(|| "cannot look for the VM")??;
            let access = found.ok_or_else(|| Failure::new("the VM does not run").hint("`devenv up` starts it"))?;
            let line: Arc<dyn Line> = Arc::new(vm::line(&access).await?);
            // Beside what the line is wanted for. Where it fails the line itself is lost.
            let guest = line.clone();
            tokio::spawn(async move { clock::set(&*guest, clock::timezone()).await });
            Ok(line)
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

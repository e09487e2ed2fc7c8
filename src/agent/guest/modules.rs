//! The kernel's modules, as the pack lists them: those that network and disk need at once, the others after SSH answers,
//! or as soon as the kernel misses one.

use super::complain;
use crate::model::{Failure, Result, Trying};
use crate::sys::linux::module;
use serde::Deserialize;
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

/// Where the host left them, and what the pack says of itself.
const FOLDER: &str = "/modules";
const PACK: &str = "/pack.json";
/// Whoever loads the later ones holds this; it is empty as long as they are not loaded.
const PROGRESS: &str = "/run/modules";

/// What process 1 reads of `pack.json`: file names, each behind those it depends on.
#[derive(Debug, Deserialize)]
struct Lists {
    first: Vec<String>,
    later: Vec<String>,
}

impl Lists {
    fn read() -> Result<Lists> {
        let text = fs::read(PACK).trying(|| format!("cannot read {PACK}"))?;
        serde_json::from_slice(&text).trying(|| format!("cannot understand {PACK}"))
    }
}

/// Loads what network and disk need.
///
/// # Errors
/// One of them cannot be loaded.
pub fn load_first() -> Result<()> {
    // From here on the kernel asks this program for what it misses (`on_demand`).
    let _ = fs::write("/proc/sys/kernel/modprobe", "/init");
    Lists::read()?.first.iter().try_for_each(|name| load(name))
}

/// Loads what a connection over vsock(7) needs.
///
/// # Errors
/// One of them cannot be loaded, or the pack has none.
pub fn load_vsock() -> Result<()> {
    let lists = Lists::read()?;
    let mut names = lists.later.iter().filter(|name| name.contains("vsock")).peekable();
    names.peek().ok_or_else(|| Failure::new("the guest pack has no modules for vsock"))?;
    names.try_for_each(|name| load(name))
}

/// Loads the others, unless that was done; waits for who is doing it.
pub fn load_later() {
    let loaded = (|| {
        let progress = File::options().read(true).append(true).create(true).open(PROGRESS)?;
        progress.lock()?;
        if progress.metadata()?.len() == 0 {
            let lists = Lists::read().map_err(std::io::Error::other)?;
            lists.later.iter().filter_map(|name| load(name).err()).for_each(|failure| complain(&failure));
            fs::write(PROGRESS, "done\n")?;
            // The first file system is memory, and nobody needs the files again.
            let _ = fs::remove_dir_all(FOLDER);
        }
        std::io::Result::Ok(())
    })();
    if let Err(error) = loaded {
        complain(&Failure::because("cannot load the kernel's modules", error));
    }
}

fn load(name: &str) -> Result<()> {
    let path = Path::new(FOLDER).join(name);
    module::load(&path).trying(|| format!("cannot load {}", path.display()))
}

/// What the kernel starts when it misses something (`modprobe -q -- NAME`, kernel/module/kmod.c): a file system, a rule of
/// the packet filter. It asks again when we end, so a program that is early waits here.
pub fn on_demand() -> ExitCode {
    load_later();
    ExitCode::SUCCESS
}

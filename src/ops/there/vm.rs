//! `devenv vm …`: the managed VM itself.

use crate::config::load_settings;
use crate::image::artifact;
use crate::machine::ssh::{self, SshLine};
use crate::machine::vm::{Access, Vm};
use crate::model::vm::{GuestPack, VmStatus};
use crate::model::{Failure, Host, ImageReference, Result, Settings, Trying, VmPaths};
use crate::ops::Context;
use crate::state::Layout;
use crate::sys::environment::{path_variable, variable};
use crate::sys::process;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Has the VM run.
///
/// # Errors
/// It cannot be started: no QEMU, no guest pack, no room, a guest that does not come up.
pub fn start(context: &Context) -> Result<VmStatus> {
    on_vm(context, |vm| {
        vm.start()?;
        vm.status()
    })
}

/// Ends the VM and what runs in it. False when it did not run.
///
/// # Errors
/// It does not end.
pub fn stop(context: &Context) -> Result<bool> {
    on_vm(context, |vm| vm.stop())
}

/// How the VM fares.
///
/// # Errors
/// The settings are wrong, or a file of the VM cannot be read.
pub fn status(context: &Context) -> Result<VmStatus> {
    on_vm(context, |vm| vm.status())
}

/// Removes the VM with its disk: every image, box and volume in it.
///
/// # Errors
/// It does not end, or something cannot be removed.
pub fn remove(context: &Context) -> Result<()> {
    on_vm(context, |vm| vm.remove())
}

/// How to reach the VM, which is started when it does not run.
///
/// # Errors
/// As [`start`].
pub fn access(context: &Context) -> Result<Access> {
    on_vm(context, |vm| vm.start())
}

fn on_vm<T>(context: &Context, act: impl FnOnce(&Vm) -> Result<T>) -> Result<T> {
    let (paths, settings) = look()?;
    let named = variable("DEVENV_GUEST").filter(|text| !text.is_empty()).map(|text| GuestPack::parse(&text));
    let fetch_pack = |reference: &str, into: &Path| {
        let reference = ImageReference::parse(reference).map_err(Failure::new)?;
        artifact::fetch(&reference, &settings, &*context.events, into)
    };
    act(&Vm {
        paths: &paths,
        settings: &settings.vm,
        events: &*context.events,
        chosen_pack: named.or_else(|| settings.vm.guest.clone()),
        fetch_pack: &fetch_pack,
        ask_to_end: &ask_to_end,
    })
}

/// Where the VM is, and what the user's settings say.
fn look() -> Result<(VmPaths, Settings)> {
    let host = Host {
        uid: process::uid(),
        gid: process::gid(),
        user_name: variable("USER").unwrap_or_else(|| "user".into()),
        home: path_variable("HOME").unwrap_or_else(|| "/".into()),
        architecture: std::env::consts::ARCH.into(),
    };
    let layout = Layout::find(&host)?;
    let settings = load_settings(layout.settings())?;
    Ok((layout.vm(), settings))
}

/// How long the guest may take to agree; one that hangs is ended in other ways.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(15);

/// Asks the guest to end itself.
fn ask_to_end(access: &Access) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.trying(|| "cannot start the runtime")?.block_on(async {
        let asking = async { connect(access).await?.switch_off().await };
        let late = |_| Err(Failure::new("the VM's guest does not answer"));
        tokio::time::timeout(FAREWELL_PATIENCE, asking).await.unwrap_or_else(late)
    })
}

/// Connects to the guest.
///
/// # Errors
/// It does not answer, or is another one.
pub async fn connect(access: &Access) -> Result<SshLine> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, access.port));
    ssh::connect(address, &access.keys.client, access.keys.host.public_key()).await
}

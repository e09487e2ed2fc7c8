//! `devenv vm …`: the managed VM itself.

use super::call::call;
use super::far::Far;
use crate::image::artifact;
use crate::machine::ssh::{self, SshLine};
use crate::machine::vm::{Access, Means, Vm};
use crate::model::call::{Caller, Verb};
use crate::model::event::Unheard;
use crate::model::status::{Finding, Level, ProjectRunning};
use crate::model::vm::{Accelerator, GuestPack, VmStatus};
use crate::model::{Events, Failure, ImageReference, Result};
use crate::ops::Context;
use crate::ops::place::Origin;
use crate::sys::environment::variable;
use crate::sys::runtime;
use std::io::sink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

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

/// What runs in the VM, of every project; nothing when it does not run or does not answer.
///
/// # Errors
/// What its guest says makes no sense, or it runs another version of this program.
pub fn boxes(context: &Context) -> Result<Vec<ProjectRunning>> {
    let Some(access) = on_vm(context, |vm| vm.running())? else { return Ok(Vec::new()) };
    let caller = Caller { folder: context.folder.clone(), ..Caller::default() };
    let (_held, mut interrupt) = watch::channel(false);
    in_time(async {
        let far = Far::Own(Arc::new(line(&access).await?));
        call(&far, caller, Verb::Running, &Unheard, &mut sink(), &mut interrupt).await
    })
}

/// How to reach the VM, which is started when it does not run.
///
/// # Errors
/// As [`start`].
pub fn access(context: &Context) -> Result<Access> {
    on_vm(context, |vm| vm.start())
}

/// How to reach the VM, which is started when it does not run, for those who look at this computer themselves.
///
/// # Errors
/// As [`start`].
pub fn ensure(origin: &Origin, events: &dyn Events) -> Result<Access> {
    on_vm_of(origin, events, |vm| vm.start())
}

/// How to reach the VM if it runs.
///
/// # Errors
/// A file of it cannot be read.
pub fn running(origin: &Origin, events: &dyn Events) -> Result<Option<Access>> {
    on_vm_of(origin, events, |vm| vm.running())
}

fn on_vm<T>(context: &Context, act: impl FnOnce(&Vm) -> Result<T>) -> Result<T> {
    on_vm_of(&Origin::look()?, &*context.events, act)
}

fn on_vm_of<T>(origin: &Origin, events: &dyn Events, act: impl FnOnce(&Vm) -> Result<T>) -> Result<T> {
    let (paths, settings) = (origin.layout.vm(), &origin.settings);
    let named = variable("DEVENV_GUEST").filter(|text| !text.is_empty()).map(|text| GuestPack::parse(&text));
    let fetch_pack = |reference: &str, into: &Path| {
        let reference = ImageReference::parse(reference).map_err(Failure::new)?;
        artifact::fetch(&reference, settings, events, into)
    };
    act(&Vm {
        paths: &paths,
        settings: &settings.vm,
        events,
        chosen_pack: named.or_else(|| settings.vm.guest.clone()),
        fetch_pack: &fetch_pack,
        ask_to_end: &ask_to_end,
    })
}

/// A connection to the guest.
///
/// # Errors
/// It does not answer, or is not the one that was started.
pub async fn line(access: &Access) -> Result<SshLine> {
    ssh::connect(&access.address, &access.keys.client, access.keys.host.public_key()).await
}

/// What `doctor` has to say of QEMU and of what runs the guest's instructions.
///
/// # Errors
/// There is no QEMU, or it is too old.
pub fn findings(context: &Context) -> Result<Vec<Finding>> {
    let finding = |level, topic: &str, found, fix| Finding { level, topic: topic.into(), found, fix };
    let (qemu, choice) = match on_vm(context, |vm| vm.means())? {
        Means::Qemu(qemu, choice) => (qemu, choice),
        Means::Framework { .. } => {
            let found = "Virtualization.framework, which is experimental".to_owned();
            let fix = Some("`brew install qemu`".to_owned());
            return Ok(vec![finding(Level::Limited, "virtual machine", found, fix)]);
        }
    };
    let speed = match choice.accelerator {
        Accelerator::Tcg => {
            let found = "tcg: the VM is emulated, which is several times slower".to_owned();
            finding(Level::Limited, "accelerator", found, choice.note)
        }
        fast => finding(Level::Good, "accelerator", fast.to_string(), None),
    };
    let found = format!("{} at {}", qemu.version, qemu.program.display());
    Ok(vec![finding(Level::Good, "QEMU", found, None), speed])
}

/// How long the guest may take to agree or to answer; one that hangs is dealt with in other ways.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the guest tells of itself, as text for people; the VM is started when it does not run.
///
/// # Errors
/// As [`start`], or it does not answer.
pub fn report(context: &Context) -> Result<String> {
    let access = on_vm(context, |vm| vm.start())?;
    in_time(async { line(&access).await?.report().await })
}

/// Asks the guest to end itself.
fn ask_to_end(access: &Access) -> Result<()> {
    in_time(async { line(access).await?.switch_off().await })
}

fn in_time<T>(asking: impl Future<Output = Result<T>>) -> Result<T> {
    runtime::current_thread()?.block_on(async {
        let late = |_| Err(Failure::new("the VM's guest does not answer"));
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(late)
    })
}

//! Programs that a spec wants run at moments of a container's life (OCI runtime-spec, "POSIX-platform Hooks").

use super::state::{Place, Status, document};
use crate::model::{Failure, Result, Trying};
use crate::sys::command::{Exactly, run_exactly};
use oci_spec::runtime::{Hook, Spec};
use std::time::Duration;

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Deprecated, and what podman and others still use.
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Moment::Prestart => "prestart",
            Moment::CreateRuntime => "createRuntime",
            Moment::CreateContainer => "createContainer",
            Moment::StartContainer => "startContainer",
            Moment::Poststart => "poststart",
            Moment::Poststop => "poststop",
        }
    }

    fn of(self, spec: &Spec) -> &[Hook] {
        let Some(hooks) = spec.hooks() else { return &[] };
        #[allow(deprecated)] // The spec keeps it, and so do we.
        let list = match self {
            Moment::Prestart => hooks.prestart(),
            Moment::CreateRuntime => hooks.create_runtime(),
            Moment::CreateContainer => hooks.create_container(),
            Moment::StartContainer => hooks.start_container(),
            Moment::Poststart => hooks.poststart(),
            Moment::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// Runs the hooks of one moment in their order.
///
/// # Errors
/// The first that fails or takes longer than it may; those behind it do not run.
pub fn run(spec: &Spec, moment: Moment, place: &Place, status: Status, pid: u32) -> Result<()> {
    let hooks = moment.of(spec);
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(&document(spec, place, status, pid)).trying(|| "cannot describe the container")?;
    for (number, hook) in hooks.iter().enumerate() {
        run_one(hook, &state).trying(|| format!("error running {} hook #{number}", moment.name()))?;
    }
    Ok(())
}

/// As [`run`], for moments after which there is no way back: all run, and what fails is told to `warn`.
pub fn run_all(spec: &Spec, moment: Moment, place: &Place, status: Status, pid: u32, warn: &mut dyn FnMut(Failure)) {
    let state = serde_json::to_vec(&document(spec, place, status, pid)).unwrap_or_default();
    for (number, hook) in moment.of(spec).iter().enumerate() {
        if let Err(failure) = run_one(hook, &state) {
            warn(Failure::because(format!("error running {} hook #{number}", moment.name()), failure));
        }
    }
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<()> {
    let wanted = Exactly {
        path: hook.path(),
        arguments: hook.args().as_deref().unwrap_or_default(),
        environment: hook.env().as_deref().unwrap_or_default(),
        input: state,
    };
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let ended = run_exactly(&wanted, limit)?;
    if ended.status.success() {
        return Ok(());
    }
    let mut said = format!("{}: {}", hook.path().display(), ended.status);
    if !ended.complaint.is_empty() {
        said.push_str(&format!(": {}", ended.complaint));
    }
    Err(Failure::new(said))
}

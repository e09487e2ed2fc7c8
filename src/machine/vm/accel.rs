//! Which accelerator to use. One that is there need not work: some computers open /dev/kvm and let guests hang, which only a
//! guest that does not start shows. That is remembered until the computer, its kernel or QEMU is another.

use super::qemu::{System, Version};
use crate::model::vm::Accelerator;
use crate::model::{Result, Trying};
use crate::sys::fs::{read_if_exists, write_atomically};
use crate::sys::process::kernel_release;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

const KVM_DEVICE: &str = "/dev/kvm";

/// What can be known of /dev/kvm without using it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kvm {
    Opens,
    Forbidden,
    Absent,
}

/// An accelerator to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub accelerator: Accelerator,
    /// When no guest starts with it, emulation takes its place.
    pub may_fall_back: bool,
    /// What the user should know of the choice.
    pub note: Option<String>,
}

/// Looks at /dev/kvm.
pub fn look() -> Kvm {
    match File::options().read(true).write(true).open(KVM_DEVICE) {
        Ok(_) => Kvm::Opens,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Kvm::Forbidden,
        Err(_) => Kvm::Absent,
    }
}

/// The accelerator for this computer. `known_broken`: a guest did not start with the fast one before.
pub fn choose(wish: Option<Accelerator>, system: System, kvm: Kvm, known_broken: bool) -> Choice {
    let emulation = |note: Option<&str>| {
        let note = note.map(|why| format!("{why}: the VM is emulated, which is several times slower"));
        Choice { accelerator: Accelerator::Tcg, may_fall_back: false, note }
    };
    if let Some(accelerator) = wish {
        return Choice { accelerator, may_fall_back: false, note: None };
    }
    match (system, kvm) {
        _ if known_broken => emulation(None),
        (System::Mac, _) => Choice { accelerator: Accelerator::Hvf, may_fall_back: true, note: None },
        (System::Linux, Kvm::Opens) => Choice { accelerator: Accelerator::Kvm, may_fall_back: true, note: None },
        (System::Linux, Kvm::Forbidden) => {
            emulation(Some("this user may not open /dev/kvm (`sudo usermod -aG kvm $USER`, then log in again)"))
        }
        (System::Linux, Kvm::Absent) => emulation(Some("this computer has no /dev/kvm")),
    }
}

/// Under what the fast accelerator was found not to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Boot of the host, where its system tells it: other hardware may be there after another.
    boot: String,
    kernel: String,
    qemu: Version,
    /// What was seen.
    pub why: String,
}

impl Verdict {
    /// One for now.
    pub fn now(qemu: Version, why: impl Into<String>) -> Verdict {
        let boot = read_if_exists(Path::new("/proc/sys/kernel/random/boot_id")).ok().flatten().unwrap_or_default();
        Verdict { boot: boot.trim().to_owned(), kernel: kernel_release(), qemu, why: why.into() }
    }

    /// The one noted at `path`, if it holds for this boot, kernel and QEMU.
    pub fn read(path: &Path, qemu: Version) -> Option<Verdict> {
        let noted: Verdict = serde_json::from_str(&read_if_exists(path).ok()??).ok()?;
        (noted == Verdict::now(qemu, noted.why.clone())).then_some(noted)
    }

    /// # Errors
    /// The disk is full or not writable.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).trying(|| format!("cannot write {}", path.display()))?;
        write_atomically(path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_one_is_taken_where_it_may_work() {
        let chosen = |wish, system, kvm, broken| {
            let choice = choose(wish, system, kvm, broken);
            (choice.accelerator.name(), choice.may_fall_back, choice.note.is_some())
        };
        assert_eq!(chosen(None, System::Linux, Kvm::Opens, false), ("kvm", true, false));
        assert_eq!(chosen(None, System::Linux, Kvm::Opens, true), ("tcg", false, false));
        assert_eq!(chosen(None, System::Linux, Kvm::Forbidden, false), ("tcg", false, true));
        assert_eq!(chosen(None, System::Linux, Kvm::Absent, false), ("tcg", false, true));
        assert_eq!(chosen(None, System::Mac, Kvm::Absent, false), ("hvf", true, false));
        assert_eq!(chosen(Some(Accelerator::Kvm), System::Linux, Kvm::Absent, true), ("kvm", false, false));
    }

    #[test]
    fn a_verdict_holds_for_one_qemu() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verdict");
        assert_eq!(Verdict::read(&path, Version(7, 2)), None);
        let verdict = Verdict::now(Version(7, 2), "it said nothing");
        verdict.write(&path).unwrap();
        assert_eq!(Verdict::read(&path, Version(7, 2)), Some(verdict));
        assert_eq!(Verdict::read(&path, Version(8, 0)), None);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Verdict::read(&path, Version(7, 2)), None);
    }
}

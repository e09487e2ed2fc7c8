//! QEMU on this computer: where it is and whether it is new enough.

use super::argv::Architecture;
use super::stamp::Stamp;
use crate::model::{Failure, Result};
use crate::sys::command;
use crate::sys::environment::variable;
use crate::sys::fs::{read_if_exists, write_atomically};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The oldest version that is tried with: that of Ubuntu 22.04.
const OLDEST: Version = Version(6, 2);
/// How long QEMU may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where Homebrew, MacPorts and source builds put it, when PATH does not name these.
const MORE_FOLDERS: [&str; 3] = ["/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin"];

/// Major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A QEMU that can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qemu {
    pub program: PathBuf,
    pub version: Version,
    stamp: Stamp,
}

/// The operating system of the host, as far as advice and choices depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Linux,
    Mac,
}

impl System {
    /// The one that this program was built for.
    pub fn own() -> System {
        if std::env::consts::OS == "macos" { System::Mac } else { System::Linux }
    }
}

/// Finds QEMU for this architecture. Its version is asked once and noted in `notes`.
///
/// # Errors
/// There is none, or it is too old.
pub fn find(architecture: Architecture, system: System, notes: &Path) -> Result<Qemu> {
    let name = format!("qemu-system-{}", architecture.name());
    let path = variable("PATH").unwrap_or_default();
    let program = locate(&name, &path).ok_or_else(|| {
        Failure::new(format!("the managed VM needs QEMU, and there is no {name}")).hint(advice(architecture, system))
    })?;
    let stamp = Stamp::of(&program)?;
    let noted: Option<Qemu> = read_if_exists(notes).ok().flatten().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(qemu) = noted.filter(|qemu| qemu.stamp == stamp) {
        return Ok(qemu);
    }
    let qemu = Qemu { version: check_version(&program, architecture, system)?, program, stamp };
    // Without the note it is asked again the next time.
    let _ = serde_json::to_vec(&qemu).map(|text| write_atomically(notes, &text));
    Ok(qemu)
}

fn check_version(program: &Path, architecture: Architecture, system: System) -> Result<Version> {
    let name = program.display();
    let answer = command::run(&program.to_string_lossy(), &["--version"], &[], PATIENCE)?;
    let text = String::from_utf8_lossy(&answer.output).into_owned();
    if !answer.status.success() {
        let why = answer.complaint.lines().last().unwrap_or("it does not say why").to_owned();
        return Err(Failure::because(format!("{name} does not run"), why).hint(advice(architecture, system)));
    }
    let version = parse_version(&text).ok_or_else(|| {
        Failure::new(format!("{name} does not tell its version: \"{}\"", text.lines().next().unwrap_or_default()))
    })?;
    if version < OLDEST {
        let what = format!("{name} is QEMU {version}, which is too old: the managed VM needs {OLDEST} or newer");
        return Err(Failure::new(what).hint(advice(architecture, system)));
    }
    Ok(version)
}

/// Where PATH, or a folder people often have, holds `name`.
fn locate(name: &str, path: &str) -> Option<PathBuf> {
    let folders = path.split(':').filter(|folder| folder.starts_with('/')).chain(MORE_FOLDERS);
    folders.map(|folder| Path::new(folder).join(name)).find(|candidate| candidate.is_file())
}

/// The version in the first line of `qemu --version`: "QEMU emulator version 7.2.22 (Debian …)".
fn parse_version(text: &str) -> Option<Version> {
    let (_, rest) = text.lines().next()?.split_once(" version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some(Version(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// How to get it.
fn advice(architecture: Architecture, system: System) -> String {
    let (debian, fedora) = match architecture {
        Architecture::X86_64 => ("qemu-system-x86", "qemu-system-x86-core"),
        Architecture::Aarch64 => ("qemu-system-arm", "qemu-system-aarch64-core"),
    };
    match system {
        System::Mac => "`brew install qemu`".into(),
        System::Linux => format!("Debian, Ubuntu: `sudo apt install {debian}`; Fedora: `sudo dnf install {fedora}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"), Some(Version(7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.1.0"), Some(Version(10, 1)));
        assert_eq!(parse_version("something else"), None);
        assert_eq!(parse_version(""), None);
        assert!(Version(6, 1) < OLDEST && Version(10, 0) > OLDEST);
    }

    #[test]
    fn an_old_or_broken_qemu_is_told_and_a_good_one_asked_once() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu-system-x86_64");
        let write = |script: &str| {
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            check_version(&program, Architecture::X86_64, System::Linux)
        };
        let failure = write("echo QEMU emulator version 4.2.1").unwrap_err();
        assert!(failure.to_string().contains("is QEMU 4.2, which is too old"), "{failure}");
        assert!(failure.get_hint().unwrap().contains("apt install qemu-system-x86"));
        assert_eq!(write("echo missing library >&2; exit 127").unwrap_err().chain()[1], "missing library");
        assert_eq!(write("echo QEMU emulator version 8.2.0").unwrap(), Version(8, 2));
        assert_eq!(
            locate("qemu-system-x86_64", &format!("relative:/nowhere:{}", folder.path().display())),
            Some(program)
        );
    }
}

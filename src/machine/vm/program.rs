//! The program that becomes the guest's first process: on a Linux host this very one, elsewhere the one that came with the
//! pack.

use super::argv::Architecture;
use super::pack::Pack;
use super::qemu::System;
use crate::model::{Failure, Result, Trying};
use std::path::{Path, PathBuf};

/// This program, also where its file was replaced meanwhile.
pub const SELF: &str = "/proc/self/exe";

/// Its file and its content.
///
/// # Errors
/// There is none, or it could not run in the guest.
pub fn read(pack: &Pack, architecture: Architecture, system: System) -> Result<Vec<u8>> {
    let file = match system {
        System::Linux => PathBuf::from(SELF),
        System::Mac => pack.program(),
    };
    let content = std::fs::read(&file).trying(|| format!("cannot read the guest's program {}", file.display()))?;
    check(&content, architecture).trying(|| "this program cannot run in the VM").map(|()| content)
}

/// Tells builds of this program apart.
pub fn identity(content: &[u8]) -> String {
    blake3::hash(content).to_hex()[..32].to_owned()
}

/// Where this program's file is.
///
/// # Errors
/// The system does not tell.
pub fn own_path() -> Result<PathBuf> {
    let path = std::env::current_exe().trying(|| "cannot find this program's file")?;
    // A symlink in a folder of links leads to where its companions are.
    Ok(std::fs::canonicalize(&path).unwrap_or_else(|_| Path::new(&path).to_owned()))
}

/// Offsets and numbers of the ELF header (elf(5)).
const MACHINE_OFFSET: usize = 18;
const HEADERS_OFFSET: usize = 32;
const HEADER_BYTES: usize = 56;
const HEADER_COUNT_OFFSET: usize = 56;
const INTERPRETER: u32 = 3;

/// A guest has no libraries: the program must be static, and for its processor.
fn check(content: &[u8], architecture: Architecture) -> Result<()> {
    let machine = match architecture {
        Architecture::X86_64 => 62,
        Architecture::Aarch64 => 183,
    };
    let damaged = || Failure::new("it is no program for Linux");
    if !content.starts_with(b"\x7fELF\x02\x01") || short(content, MACHINE_OFFSET) != Some(machine) {
        return Err(damaged().hint(format!("a program for {} Linux is needed", architecture.name())));
    }
    let start = long(content, HEADERS_OFFSET).ok_or_else(damaged)?;
    let count = short(content, HEADER_COUNT_OFFSET).ok_or_else(damaged)?;
    for index in 0..usize::from(count) {
        let kind = content.get(start + index * HEADER_BYTES..).and_then(|header| header.first_chunk());
        if u32::from_le_bytes(*kind.ok_or_else(damaged)?) == INTERPRETER {
            return Err(Failure::new("it was built to load libraries, and the VM has none")
                .hint("build it as `install.sh` does, or install a release"));
        }
    }
    Ok(())
}

fn short(content: &[u8], offset: usize) -> Option<u16> {
    content.get(offset..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn long(content: &[u8], offset: usize) -> Option<usize> {
    let number = content.get(offset..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
    // Far below the end of any address space.
    usize::try_from(number).ok().filter(|offset| *offset < content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_static_programs_of_the_right_kind_are_taken() {
        let mut program = vec![0u8; 64 + 2 * HEADER_BYTES];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[MACHINE_OFFSET] = 62;
        program[HEADERS_OFFSET] = 64;
        program[HEADER_COUNT_OFFSET] = 2;
        assert!(check(&program, Architecture::X86_64).is_ok());
        assert!(check(&program, Architecture::Aarch64).is_err());
        program[64 + HEADER_BYTES] = 3;
        let failure = check(&program, Architecture::X86_64).unwrap_err();
        assert!(failure.to_string().contains("libraries"));
        for length in 0..program.len() {
            let _ = check(&program[..length], Architecture::X86_64);
        }
        program[HEADERS_OFFSET..HEADERS_OFFSET + 8].fill(0xff);
        assert!(check(&program, Architecture::X86_64).is_err());
        assert!(check(b"#!/bin/sh", Architecture::X86_64).is_err());
    }
}

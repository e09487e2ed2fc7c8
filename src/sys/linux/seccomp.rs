//! Loading compiled seccomp programs (seccomp(2)).

use crate::model::{Failure, Result, Trying};

/// Loads a filter: an array of `struct sock_filter`, 8 bytes each, in the machine's byte order.
///
/// # Errors
/// The bytes are no program, or `no_new_privs` is not set.
pub fn load(program: &[u8]) -> Result<()> {
    load_with(program, Flags::default())
}

/// How a filter is loaded (seccomp(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Flags {
    /// What it refuses is written to the kernel's log.
    pub log: bool,
    /// Without the mitigation of Speculative Store Bypass.
    pub allow_speculation: bool,
}

impl Flags {
    fn bits(self) -> libc::c_ulong {
        let log = if self.log { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 };
        log | if self.allow_speculation { libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW } else { 0 }
    }
}

/// As [`load`], with flags.
///
/// # Errors
/// As [`load`]'s.
pub fn load_with(program: &[u8], flags: Flags) -> Result<()> {
    if program.is_empty() || !program.len().is_multiple_of(8) || program.len() / 8 > 4096 {
        return Err(Failure::new("the compiled seccomp list is damaged"));
    }
    // libc's type wants an aligned array; bytes read from a file have no alignment.
    let filters: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|c| libc::sock_filter {
            code: u16::from_ne_bytes([c[0], c[1]]),
            jt: c[2],
            jf: c[3],
            k: u32::from_ne_bytes([c[4], c[5], c[6], c[7]]),
        })
        .collect();
    let header = libc::sock_fprog { len: filters.len() as u16, filter: filters.as_ptr().cast_mut() };
    // SAFETY: the header points at `filters`, which outlives the call; the kernel copies and checks it.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags.bits(), &raw const header) };
    if result != 0 {
        return Err(std::io::Error::last_os_error()).trying(|| "cannot load the seccomp list");
    }
    Ok(())
}

/// Forbids this process and its descendants to gain privileges by executing (prctl(2), PR_SET_NO_NEW_PRIVS).
///
/// # Errors
/// Never on kernels we support.
pub fn forbid_new_privileges() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().trying(|| "cannot set no_new_privs")
}

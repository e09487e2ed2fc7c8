//! Capabilities of a process (capabilities(7)).

use crate::model::{Failure, Result, Trying};

/// Names of the capabilities in the order of their numbers (linux/capability.h).
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// The set of these names.
    ///
    /// # Errors
    /// Names the first one that does not exist.
    pub fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Set> {
        let mut bits = 0;
        for name in names {
            let name = name.as_ref();
            let number = NAMES.iter().position(|known| *known == name);
            bits |= 1 << number.ok_or_else(|| Failure::new(format!("there is no capability {name}")))?;
        }
        Ok(Set(bits))
    }

    /// Only CAP_SYS_ADMIN.
    pub const SYS_ADMIN: Set = Set(1 << 21);

    fn has(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// The sets a process ends up with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    pub bounding: Set,
    pub effective: Set,
    pub permitted: Set,
    pub inheritable: Set,
    pub ambient: Set,
}

/// Makes every permitted capability inheritable and ambient, so that a program executed from here keeps it also
/// when our uid is not 0.
///
/// # Errors
/// The kernel refuses.
pub fn raise_all() -> Result<()> {
    let permitted = get()?.permitted;
    set(permitted, permitted, permitted)?;
    for number in (0..NAMES.len()).filter(|n| permitted.has(*n)) {
        ambient(libc::PR_CAP_AMBIENT_RAISE, number);
    }
    Ok(())
}

/// Clears the ambient set: programs of others get nothing from us.
pub fn clear_ambient() {
    ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0);
}

/// Drops everything outside `sets.bounding` for good. To be called before the user id changes.
///
/// # Errors
/// This process lacks CAP_SETPCAP.
pub fn limit_bounding(sets: &Sets) -> Result<()> {
    for number in 0..64 {
        // SAFETY: prctl with plain numbers touches no memory of ours.
        let held = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number as libc::c_ulong, 0, 0, 0) };
        match held {
            // Beyond the last one this kernel knows.
            ..0 => return Ok(()),
            0 => continue,
            _ if sets.bounding.has(number) => continue,
            _ => {}
        }
        // SAFETY: as above.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number as libc::c_ulong, 0, 0, 0) } != 0 {
            return Err(std::io::Error::last_os_error()).trying(|| "cannot drop capabilities");
        }
    }
    Ok(())
}

/// Sets the thread's own sets. To be called after the user id changed. What is in `spare` stays permitted if it is so
/// now, for [`raise`]; programs executed from here do not get it.
///
/// # Errors
/// A set has more than is permitted now.
pub fn apply(sets: &Sets, spare: Set) -> Result<()> {
    clear_ambient();
    let held = get()?.permitted.0;
    let permitted = Set(sets.permitted.0 & held);
    let inheritable = Set(sets.inheritable.0 & sets.bounding.0);
    set(Set(sets.effective.0 & permitted.0), Set(permitted.0 | spare.0 & held), inheritable)?;
    for number in (0..NAMES.len()).filter(|n| sets.ambient.has(*n) && permitted.has(*n) && inheritable.has(*n)) {
        ambient(libc::PR_CAP_AMBIENT_RAISE, number);
    }
    Ok(())
}

/// Makes what is permitted of `wanted` effective.
///
/// # Errors
/// The kernel refuses.
pub fn raise(wanted: Set) -> Result<()> {
    let own = get()?;
    let more = wanted.0 & own.permitted.0 & !own.effective.0;
    if more == 0 {
        return Ok(());
    }
    set(Set(own.effective.0 | more), own.permitted, own.inheritable)
}

/// Lets the permitted set survive a change from uid 0 to another (prctl(2), PR_SET_KEEPCAPS).
pub fn keep_over_setuid() {
    let _ = nix::sys::prctl::set_keepcaps(true);
}

fn ambient(act: libc::c_int, number: usize) {
    // SAFETY: prctl with plain numbers touches no memory of ours.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, act as libc::c_ulong, number as libc::c_ulong, 0, 0) };
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// _LINUX_CAPABILITY_VERSION_3 (capget(2)).
const VERSION_3: u32 = 0x2008_0522;

fn get() -> Result<Sets> {
    let mut data = [0u32; 6];
    let mut header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: version 3 writes two structs of three u32, which `data` has room for.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if result != 0 {
        return Err(std::io::Error::last_os_error()).trying(|| "cannot read the capabilities of this process");
    }
    let join = |at: usize| Set(u64::from(data[at]) | u64::from(data[at + 3]) << 32);
    Ok(Sets { effective: join(0), permitted: join(1), inheritable: join(2), ..Sets::default() })
}

fn set(effective: Set, permitted: Set, inheritable: Set) -> Result<()> {
    let halves = |shift: u32| [effective.0 >> shift, permitted.0 >> shift, inheritable.0 >> shift].map(|v| v as u32);
    let data = [halves(0), halves(32)];
    let header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: version 3 reads two structs of three u32, which `data` is.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result != 0 {
        return Err(std::io::Error::last_os_error()).trying(|| "cannot set the capabilities of this process");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits() {
        assert_eq!(Set::of(["CAP_CHOWN", "CAP_SETFCAP"]).unwrap(), Set(1 | 1 << 31));
        assert!(Set::of(["CAP_NONSENSE"]).is_err());
        assert_eq!(Set::of(["CAP_SYS_ADMIN"]).unwrap(), Set::SYS_ADMIN);
    }
}

//! Which start of this computer it is.

/// Longer than a UUID as text and its NUL.
const ROOM_BYTES: usize = 64;

/// Identity of this boot (`kern.bootsessionuuid` of sysctl(3)); empty where nobody can say.
pub fn boot_id() -> String {
    let mut text = [0u8; ROOM_BYTES];
    let mut length = ROOM_BYTES;
    // SAFETY: the name ends with NUL, `length` says how much room there is in `text`, and nothing is set.
    let code = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            text.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    let told = if code == 0 { &text[..length.min(ROOM_BYTES)] } else { &[] };
    String::from_utf8_lossy(told).trim_end_matches('\0').to_owned()
}

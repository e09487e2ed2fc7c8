//! The kernel's random generator (random(4)).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;

/// `struct rand_pool_info` of linux/random.h with room for one seed.
#[repr(C)]
struct Pool {
    entropy_bits: i32,
    length_bytes: i32,
    bytes: [u8; SEED_BYTES],
}

/// What one call gives.
pub const SEED_BYTES: usize = 64;

/// `RNDADDENTROPY`, `_IOW('R', 0x03, int [2])`
const ADD_ENTROPY: u64 = 0x4008_5203;

/// Gives the generator `seed` and has it counted as random, so that nobody waits for more.
///
/// # Errors
/// Only root may.
pub fn credit(seed: &[u8; SEED_BYTES]) -> io::Result<()> {
    let pool = Pool { entropy_bits: SEED_BYTES as i32 * 8, length_bytes: SEED_BYTES as i32, bytes: *seed };
    let device = OpenOptions::new().write(true).open("/dev/urandom")?;
    // SAFETY: the kernel reads `length_bytes` bytes behind the two numbers, which `pool` has.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), ADD_ENTROPY as _, &raw const pool) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

//! How much a pipe holds before whoever writes has to wait.

use nix::fcntl::{FcntlArg, fcntl};
use std::os::fd::AsFd;

/// What an ordinary user may have (`pipe(7)`, pipe-max-size).
const LARGEST_BYTES: i32 = 1 << 20;

/// Makes a pipe as large as it may be. On what is no pipe, or beyond the user's share, nothing changes.
pub fn enlarge(pipe: &impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(LARGEST_BYTES));
}

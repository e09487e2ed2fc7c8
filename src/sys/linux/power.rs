//! The end of a computer (reboot(2)).

/// Writes everything to the disks that is only in memory (sync(2)).
pub fn write_all_to_disk() {
    nix::unistd::sync();
}

/// Switches the computer off. What is not written to disk by now is lost. Returns only where that is not possible.
pub fn switch_off() {
    // SAFETY: plain numbers.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

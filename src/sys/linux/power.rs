//! The end of a computer (reboot(2)).

/// Switches the computer off. What is not written to disk by now is lost. Returns only where that is not possible.
pub fn switch_off() {
    // SAFETY: plain numbers.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

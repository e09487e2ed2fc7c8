//! How large a VM is: as the settings say, otherwise by what this computer has.

use crate::model::vm::VmSettings;
use crate::sys::process::memory_bytes;

const DEFAULT_DISK_BYTES: u64 = 60 << 30;
/// Of the guest's memory only what it uses is taken, so much can be offered.
const MOST_DEFAULT_MEMORY_BYTES: u64 = 8 << 30;
const LEAST_DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// QEMU's machines take no more without further ado.
const MOST_CPUS: u32 = 255;

/// Size of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub cpus: u32,
    /// Whole megabytes.
    pub memory_bytes: u64,
    pub disk_bytes: u64,
}

impl Size {
    /// For these settings on this computer.
    pub fn of(settings: &VmSettings) -> Size {
        let cpus = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
        Size::on(settings, cpus, memory_bytes())
    }

    fn on(settings: &VmSettings, host_cpus: u32, host_memory_bytes: u64) -> Size {
        let half = (host_memory_bytes / 2).clamp(LEAST_DEFAULT_MEMORY_BYTES, MOST_DEFAULT_MEMORY_BYTES);
        Size {
            cpus: settings.cpus.unwrap_or(host_cpus).clamp(1, MOST_CPUS),
            memory_bytes: settings.memory_bytes.unwrap_or(half) & !((1 << 20) - 1),
            disk_bytes: settings.disk_bytes.unwrap_or(DEFAULT_DISK_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_fits_its_computer() {
        let none = VmSettings::default();
        assert_eq!(Size::on(&none, 4, 6 << 30), Size { cpus: 4, memory_bytes: 3 << 30, disk_bytes: 60 << 30 });
        assert_eq!(Size::on(&none, 1000, 256 << 30).memory_bytes, 8 << 30);
        assert_eq!(Size::on(&none, 1000, 256 << 30).cpus, 255);
        assert_eq!(Size::on(&none, 1, 0).memory_bytes, 1 << 30);
        let own = VmSettings { cpus: Some(2), memory_bytes: Some(512 << 20), ..VmSettings::default() };
        assert_eq!(Size::on(&own, 8, 64 << 30), Size { cpus: 2, memory_bytes: 512 << 20, disk_bytes: 60 << 30 });
    }
}

//! `linux.resources.blockIO` as values for files of control groups (pure).

use super::resources::Settings;
use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

/// The names of the four rates, and the disks that have one.
type Rates<'a> = [(&'static str, &'a Option<Vec<LinuxThrottleDevice>>); 4];

/// Settings of version 1. A weight has its file where the kernel has a scheduler with weights, under one of two names.
pub fn of_version_1(resources: &LinuxResources, settings: &mut Settings) {
    let Some(io) = resources.block_io() else { return };
    let weight = io.weight().filter(|weight| *weight != 0);
    settings.try_set("blkio", "blkio.bfq.weight", weight);
    settings.try_set("blkio", "blkio.weight", weight);
    settings.set("blkio", "blkio.leaf_weight", io.leaf_weight().filter(|weight| *weight != 0));
    for device in io.weight_device().iter().flatten() {
        let line = |weight: u16| format!("{}:{} {weight}", device.major(), device.minor());
        settings.try_set("blkio", "blkio.bfq.weight_device", device.weight().map(line));
        settings.try_set("blkio", "blkio.weight_device", device.weight().map(line));
        settings.set("blkio", "blkio.leaf_weight_device", device.leaf_weight().map(line));
    }
    for (file, devices) in rates(io, ["read_bps", "write_bps", "read_iops", "write_iops"]) {
        for device in devices.iter().flatten() {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            settings.set("blkio", format!("blkio.throttle.{file}_device"), Some(line));
        }
    }
}

/// Settings of version 2. Leaf weights are no longer.
pub fn of_version_2(resources: &LinuxResources, settings: &mut Settings) {
    let Some(io) = resources.block_io() else { return };
    let weight = io.weight().filter(|weight| *weight != 0);
    settings.try_set("io", "io.bfq.weight", weight);
    // 10 to 1,000 onto 1 to 10,000, as every runtime does.
    settings.try_set("io", "io.weight", weight.map(|weight| 1 + (u64::from(weight).max(10) - 10) * 9_999 / 990));
    for device in io.weight_device().iter().flatten() {
        let line = |weight: u16| format!("{}:{} {weight}", device.major(), device.minor());
        settings.try_set("io", "io.bfq.weight", device.weight().map(line));
    }
    for (key, devices) in rates(io, ["rbps", "wbps", "riops", "wiops"]) {
        for device in devices.iter().flatten() {
            let line = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            settings.set("io", "io.max", Some(line));
        }
    }
}

fn rates<'a>(io: &'a LinuxBlockIo, names: [&'static str; 4]) -> Rates<'a> {
    let [read_bytes, write_bytes, reads, writes] = names;
    [
        (read_bytes, io.throttle_read_bps_device()),
        (write_bytes, io.throttle_write_bps_device()),
        (reads, io.throttle_read_iops_device()),
        (writes, io.throttle_write_iops_device()),
    ]
}

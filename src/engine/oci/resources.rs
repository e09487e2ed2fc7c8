//! `linux.resources` as values for files of control groups (pure).

use super::disks;
use crate::model::{Failure, Result};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

/// A value for a file of a controller's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub controller: &'static str,
    pub file: String,
    pub value: String,
    /// Kernels without the feature lack the file: that is no failure.
    pub optional: bool,
}

pub(super) struct Settings(Vec<Setting>);

impl Settings {
    pub(super) fn set(&mut self, controller: &'static str, file: impl Into<String>, value: Option<impl ToString>) {
        if let Some(value) = value {
            let value = value.to_string();
            self.0.push(Setting { controller, file: file.into(), value, optional: false });
        }
    }

    pub(super) fn try_set(&mut self, controller: &'static str, file: impl Into<String>, value: Option<impl ToString>) {
        let before = self.0.len();
        self.set(controller, file, value);
        self.0[before..].iter_mut().for_each(|setting| setting.optional = true);
    }
}

/// Settings of version 1 (the kernel's documentation of cgroup-v1), in the order of writing.
pub fn of_version_1(resources: &LinuxResources) -> Vec<Setting> {
    let mut settings = Settings(Vec::new());
    if let Some(memory) = resources.memory() {
        settings.set("memory", "memory.limit_in_bytes", given(memory.limit()));
        settings.try_set("memory", "memory.memsw.limit_in_bytes", given(memory.swap()));
        settings.set("memory", "memory.soft_limit_in_bytes", given(memory.reservation()));
        settings.try_set("memory", "memory.kmem.tcp.limit_in_bytes", given(memory.kernel_tcp()));
        settings.set("memory", "memory.swappiness", memory.swappiness());
        settings.set("memory", "memory.oom_control", memory.disable_oom_killer().filter(|off| *off).map(|_| 1));
    }
    if let Some(cpu) = resources.cpu() {
        settings.set("cpu", "cpu.shares", cpu.shares().filter(|shares| *shares != 0));
        settings.set("cpu", "cpu.cfs_period_us", cpu.period().filter(|period| *period != 0));
        settings.set("cpu", "cpu.cfs_quota_us", given(cpu.quota()));
        settings.try_set("cpu", "cpu.cfs_burst_us", cpu.burst());
        settings.try_set("cpu", "cpu.idle", cpu.idle());
        settings.set("cpu", "cpu.rt_period_us", cpu.realtime_period().filter(|period| *period != 0));
        settings.set("cpu", "cpu.rt_runtime_us", given(cpu.realtime_runtime()));
        settings.set("cpuset", "cpuset.cpus", text(cpu.cpus()));
        settings.set("cpuset", "cpuset.mems", text(cpu.mems()));
    }
    settings.set("pids", "pids.max", resources.pids().as_ref().and_then(|pids| count(pids.limit())));
    for limit in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size());
        settings.set("hugetlb", file, Some(limit.limit()));
    }
    disks::of_version_1(resources, &mut settings);
    if let Some(network) = resources.network() {
        settings.set("net_cls", "net_cls.classid", network.class_id());
        for priority in network.priorities().iter().flatten() {
            let line = format!("{} {}", priority.name(), priority.priority());
            settings.set("net_prio", "net_prio.ifpriomap", Some(line));
        }
    }
    settings.0
}

/// Settings of version 2 (the kernel's documentation of cgroup-v2), in the order of writing.
///
/// # Errors
/// A name in `unified` is no file of a group.
pub fn of_version_2(resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut settings = Settings(Vec::new());
    let bytes = |number: i64| if number < 0 { "max".to_owned() } else { number.to_string() };
    if let Some(memory) = resources.memory() {
        settings.set("memory", "memory.max", given(memory.limit()).map(bytes));
        settings.set("memory", "memory.low", given(memory.reservation()).map(bytes));
        // The spec counts memory and swap together, version 2 swap alone.
        let swap = given(memory.swap()).map(|both| match given(memory.limit()) {
            Some(limit) if both >= 0 && limit >= 0 => bytes((both - limit).max(0)),
            _ => bytes(both),
        });
        settings.try_set("memory", "memory.swap.max", swap);
    }
    if let Some(cpu) = resources.cpu() {
        // 2 to 262,144 shares onto weights from 1 to 10,000, as every runtime does.
        let weight = |shares: u64| 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
        settings.set("cpu", "cpu.weight", cpu.shares().filter(|shares| *shares != 0).map(weight));
        if given(cpu.quota()).is_some() || cpu.period().is_some_and(|period| period != 0) {
            let quota = given(cpu.quota()).filter(|quota| *quota > 0).map_or("max".into(), |quota| quota.to_string());
            let period = cpu.period().filter(|period| *period != 0).unwrap_or(100_000);
            settings.set("cpu", "cpu.max", Some(format!("{quota} {period}")));
        }
        settings.try_set("cpu", "cpu.max.burst", cpu.burst());
        settings.try_set("cpu", "cpu.idle", cpu.idle());
        settings.set("cpuset", "cpuset.cpus", text(cpu.cpus()));
        settings.set("cpuset", "cpuset.mems", text(cpu.mems()));
    }
    settings.set("pids", "pids.max", resources.pids().as_ref().and_then(|pids| count(pids.limit())));
    for limit in resources.hugepage_limits().iter().flatten() {
        settings.set("hugetlb", format!("hugetlb.{}.max", limit.page_size()), Some(bytes(limit.limit())));
    }
    disks::of_version_2(resources, &mut settings);
    for (file, value) in resources.unified().iter().flatten() {
        if file.contains('/') || !file.contains('.') {
            return Err(Failure::new(format!("`linux.resources.unified` names '{file}', which is no file of a group")));
        }
        settings.set("", file.clone(), Some(value));
    }
    Ok(settings.0)
}

/// 0 means "not set" in all of these.
fn given(number: Option<i64>) -> Option<i64> {
    number.filter(|number| *number != 0)
}

fn text(text: &Option<String>) -> Option<&String> {
    text.as_ref().filter(|text| !text.is_empty())
}

fn count(limit: i64) -> Option<String> {
    match limit {
        0 => None,
        1.. => Some(limit.to_string()),
        _ => Some("max".into()),
    }
}

/// Devices that every container may use whatever its rules are (OCI runtime-spec, "Default Devices", and what runc
/// adds: making device files, terminals).
const ALWAYS: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:200 rwm",
];

/// Lines for devices.allow (true) and devices.deny of version 1, in order; nothing is allowed before them.
pub fn device_rules(resources: Option<&LinuxResources>) -> Vec<(bool, String)> {
    let wanted = resources.iter().flat_map(|resources| resources.devices().iter().flatten());
    let always = ALWAYS.iter().map(|line| (true, (*line).to_owned()));
    std::iter::once((false, "a".to_owned())).chain(wanted.map(rule)).chain(always).collect()
}

fn rule(wanted: &LinuxDeviceCgroup) -> (bool, String) {
    let kind = match wanted.typ().unwrap_or_default() {
        LinuxDeviceType::A => return (wanted.allow(), "a".into()),
        LinuxDeviceType::B => 'b',
        _ => 'c',
    };
    let number = |number: Option<i64>| number.filter(|n| *n >= 0).map_or("*".to_owned(), |n| n.to_string());
    let access = wanted.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    (wanted.allow(), format!("{kind} {}:{} {access}", number(wanted.major()), number(wanted.minor())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resources() -> LinuxResources {
        serde_json::from_value(json!({
            "memory": { "limit": 100, "swap": 150, "reservation": -1 },
            "cpu": { "shares": 1024, "quota": 5000, "cpus": "0" },
            "pids": { "limit": -1 },
            "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 7, "access": "r" }]
        }))
        .unwrap()
    }

    #[test]
    fn disks_have_weights_and_rates() {
        let rate = |rate: u64| json!([{ "major": 8, "minor": 0, "rate": rate }]);
        let io: LinuxResources = serde_json::from_value(json!({ "blockIO": {
            "weight": 500, "leafWeight": 300, "weightDevice": [{ "major": 8, "minor": 0, "weight": 10, "leafWeight": 20 }],
            "throttleReadBpsDevice": rate(1), "throttleWriteBpsDevice": rate(2),
            "throttleReadIOPSDevice": rate(3), "throttleWriteIOPSDevice": rate(4)
        } }))
        .unwrap();
        let first = of_version_1(&io);
        assert_eq!(
            shown(&first),
            [
                "blkio.bfq.weight=500",
                "blkio.weight=500",
                "blkio.leaf_weight=300",
                "blkio.bfq.weight_device=8:0 10",
                "blkio.weight_device=8:0 10",
                "blkio.leaf_weight_device=8:0 20",
                "blkio.throttle.read_bps_device=8:0 1",
                "blkio.throttle.write_bps_device=8:0 2",
                "blkio.throttle.read_iops_device=8:0 3",
                "blkio.throttle.write_iops_device=8:0 4"
            ]
        );
        assert!(!first.iter().any(|setting| setting.optional && setting.file.contains("leaf")));
        assert_eq!(
            shown(&of_version_2(&io).unwrap()),
            [
                "io.bfq.weight=500",
                "io.weight=4950",
                "io.bfq.weight=8:0 10",
                "io.max=8:0 rbps=1",
                "io.max=8:0 wbps=2",
                "io.max=8:0 riops=3",
                "io.max=8:0 wiops=4"
            ]
        );
    }

    fn shown(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn limits_have_their_files_in_both_versions() {
        assert_eq!(
            shown(&of_version_1(&resources())),
            [
                "memory.limit_in_bytes=100",
                "memory.memsw.limit_in_bytes=150",
                "memory.soft_limit_in_bytes=-1",
                "cpu.shares=1024",
                "cpu.cfs_quota_us=5000",
                "cpuset.cpus=0",
                "pids.max=max"
            ]
        );
        assert_eq!(
            shown(&of_version_2(&resources()).unwrap()),
            [
                "memory.max=100",
                "memory.low=max",
                "memory.swap.max=50",
                "cpu.weight=39",
                "cpu.max=5000 100000",
                "cpuset.cpus=0",
                "pids.max=max"
            ]
        );
    }

    #[test]
    fn nothing_is_allowed_before_the_rules() {
        let rules = device_rules(Some(&resources()));
        assert_eq!(rules[..3], [(false, "a".into()), (false, "a".into()), (true, "c 7:* r".into())]);
        assert_eq!(rules.len(), 14);
    }

    #[test]
    fn files_of_version_2_are_names_only() {
        let wrong: LinuxResources = serde_json::from_value(json!({ "unified": { "../x": "1" } })).unwrap();
        assert!(of_version_2(&wrong).is_err());
    }
}

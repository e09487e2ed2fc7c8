//! What a program sees.

use crate::bench::{Bench, Runtime};
use serde_json::{Value, json};

/// A name, a script, and a change of the spec it runs in.
type Case<'a> = (&'a str, &'a str, fn(&mut Value, &Bench));

/// Asserts that both runtimes show the same for each case.
fn table(cases: &[Case<'_>]) -> Vec<String> {
    let Some(bench) = Bench::new() else { return Vec::new() };
    let mut seen = Vec::new();
    for (name, script, change) in cases {
        let mut spec = bench.spec(script);
        change(&mut spec, &bench);
        seen.push(bench.same(name, &spec).output);
    }
    seen
}

const STATUS: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Shd)' /proc/self/status";

#[test]
fn identity_capabilities_and_limits() {
    let seen = table(&[
        ("plain", "id; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ulimit -Sn; ulimit -Hn; umask", |_, _| ()),
        ("no capabilities", STATUS, |spec, _| spec["process"]["capabilities"] = json!({})),
        ("capabilities untouched", STATUS, |spec, _| {
            drop(spec["process"].as_object_mut().unwrap().remove("capabilities"))
        }),
        (
            "a user with groups and a mask",
            "id; umask; echo $HOME; touch /tmp/x; ls -ln /tmp/x | cut -c1-10; rm /tmp/x",
            |spec, bench| {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(bench.rootfs().join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
                spec["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [5, 1234] });
            },
        ),
        ("a user with capabilities of its own", STATUS, |spec, _| {
            spec["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                spec["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE", "CAP_KILL"]);
            }
        }),
        ("new privileges", STATUS, |spec, _| spec["process"]["noNewPrivileges"] = json!(false)),
        ("all limits", "ulimit -a", |spec, _| {
            spec["process"]["rlimits"] = json!([
                { "type": "RLIMIT_CORE", "soft": 1024, "hard": 2048 }, { "type": "RLIMIT_CPU", "soft": 60, "hard": 120 },
                { "type": "RLIMIT_FSIZE", "soft": 1048576, "hard": 2097152 }, { "type": "RLIMIT_NPROC", "soft": 500, "hard": 600 },
                { "type": "RLIMIT_STACK", "soft": 4194304, "hard": 8388608 }, { "type": "RLIMIT_AS", "soft": 1073741824, "hard": 1073741824 }
            ]);
        }),
        ("badness", "cat /proc/self/oom_score_adj", |spec, _| spec["process"]["oomScoreAdj"] = json!(500)),
    ]);
    assert!(seen.first().is_none_or(|text| text.contains("uid=0(root)") && text.contains("512\n1024\n")), "{seen:?}");
}

/// To be spared needs CAP_SYS_RESOURCE, which root has not everywhere; the box runs all the same.
#[test]
fn a_badness_that_may_not_be_set_is_let_be() {
    let Some(bench) = Bench::new() else { return };
    let mut spec = bench.spec("cat /proc/self/oom_score_adj");
    spec["process"]["oomScoreAdj"] = json!(-900);
    let container = bench.container(Runtime::Ours, &spec);
    let output = container.create_without("sys_resource");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    container.expect(&["start"]);
    assert_eq!((container.wait(), container.output().trim()), (0, own_badness().trim()));
    container.expect(&["delete"]);
}

fn own_badness() -> String {
    std::fs::read_to_string("/proc/self/oom_score_adj").unwrap()
}

#[test]
fn names_folders_and_environment() {
    table(&[
        ("host name", "hostname; cat /proc/sys/kernel/hostname", |_, _| ()),
        ("working folder", "pwd", |spec, _| spec["process"]["cwd"] = json!("/home/u")),
        ("a working folder that is made", "pwd; ls -ld . | cut -c1-10", |spec, _| {
            spec["process"]["cwd"] = json!("/made/here")
        }),
        ("environment", "env | sort", |spec, _| {
            spec["process"]["env"] = json!(["PATH=/bin", "A=1 2", "B=", "C==x"]);
        }),
        ("no path", "echo never", |spec, _| {
            spec["process"]["args"] = json!(["/bin/env"]);
            spec["process"]["env"] = json!(["PATH=/bin"]);
        }),
        ("exit code", "exit 42", |_, _| ()),
        ("killed by itself", "kill -9 $$; exit 1", |spec, _| {
            // A first process of a namespace cannot be killed from inside.
            spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "pid");
        }),
        ("first process", "echo $$", |_, _| ()),
        ("descriptors", "ls /proc/self/fd | wc -l", |_, _| ()),
    ]);
}

#[test]
fn mounts_devices_and_hidden_paths() {
    let seen = table(&[
        (
            "mounts",
            "awk '$2 !~ /cgroup|keys|timer_list|acpi|firmware|proc.sys/ { print $1, $2, $3, $4 }' /proc/mounts",
            |_, _| (),
        ),
        (
            "masked and read-only",
            "cat /proc/keys /proc/timer_list; ls /sys/firmware /proc/acpi; echo x > /proc/sys/kernel/domainname; \
          echo b > /proc/sysrq-trigger; grep -cE ' /proc/(keys|timer_list|acpi|sys) ' /proc/mounts",
            |_, _| (),
        ),
        ("read-only root", "touch /x; touch /dev/x && echo made", |spec, _| spec["root"]["readonly"] = json!(true)),
        (
            "devices",
            "ls -l /dev | awk '{ print $1, $3, $4, $5, $6, $10, $11 }'; echo x > /dev/null; head -c 3 /dev/zero | wc -c; cat /dev/more",
            |spec, _| {
                spec["linux"]["devices"] = json!([
                    { "path": "/dev/more", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 1000, "gid": 5 },
                    { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 }
                ]);
            },
        ),
        (
            "devices that are not allowed",
            "mknod /tmp/d b 8 0; mknod /tmp/n c 1 3 && echo x > /tmp/n && echo may; rm -f /tmp/d /tmp/n",
            |spec, _| {
                for set in ["bounding", "effective", "permitted"] {
                    spec["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
                }
            },
        ),
        (
            "binds",
            "cat /in/file; touch /in/x; touch /rw/x && echo made; rm -f /rw/x; cat /one; \
          awk '$2 ~ /^.(in|rw|one)$/ { print $2, substr($4, 1, 2), $4 ~ /nosuid/, $4 ~ /noexec/, $4 ~ /nodev/, $4 ~ /noatime/ }' /proc/mounts",
            |spec, bench| {
                let data = bench.folder.path().join("data");
                std::fs::create_dir_all(&data).unwrap();
                std::fs::write(data.join("file"), "content\n").unwrap();
                let bind = |at: &str, source: std::path::PathBuf, options: Value| json!({ "destination": at, "type": "bind", "source": source, "options": options });
                let mounts = spec["mounts"].as_array_mut().unwrap();
                mounts.push(bind("/in", data.clone(), json!(["rbind", "ro", "nosuid", "rprivate"])));
                mounts.push(bind("/rw", data.clone(), json!(["bind", "rw", "nodev", "noexec", "noatime"])));
                mounts.push(bind("/one", data.join("file"), json!(["bind", "ro"])));
            },
        ),
        ("symlinks in the tree stay in it", "cat /etc/linked/file; ls /data", |spec, bench| {
            let link = bench.rootfs().join("etc/linked");
            if !link.is_symlink() {
                std::os::unix::fs::symlink("/data", link).unwrap();
            }
            let source = bench.folder.path().join("source");
            std::fs::create_dir_all(&source).unwrap();
            std::fs::write(source.join("file"), "linked\n").unwrap();
            spec["mounts"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "destination": "/etc/linked", "type": "bind", "source": source, "options": ["bind"] }));
        }),
        (
            "memory with what was there",
            "cat /home/file; ls -ln /home | awk '{ print $1, $3, $4, $9 }'; touch /home/new && echo made",
            |spec, bench| {
                std::fs::write(bench.rootfs().join("home/file"), "kept\n").unwrap();
                spec["mounts"].as_array_mut().unwrap().push(json!({ "destination": "/home", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "tmpcopyup"] }));
            },
        ),
        (
            "links that lead nowhere, and writes at once",
            "awk '$5 ~ /^.(n|sub|w)2?$/ { print $5, $6, $NF }' /proc/self/mountinfo; cat /n/link; echo $?",
            |spec, bench| {
                let folder = bench.folder.path().join("links");
                std::fs::create_dir_all(&folder).unwrap();
                let _ = std::os::unix::fs::symlink("/etc/passwd", folder.join("link"));
                let mounts = spec["mounts"].as_array_mut().unwrap();
                for (at, option) in [("/n", "nosymfollow"), ("/sub", "rnosymfollow"), ("/w", "symfollow")] {
                    mounts.push(
                        json!({ "destination": at, "type": "bind", "source": folder, "options": ["rbind", option] }),
                    );
                }
                for (at, options) in [("/n2", ["nosymfollow", "acl"]), ("/w2", ["sync", "dirsync"])] {
                    mounts.push(json!({ "destination": at, "type": "tmpfs", "source": "x", "options": options }));
                }
            },
        ),
        (
            "propagation",
            "awk '$5 ~ /^.(s|p)$/ { print $5, $7 ~ /shared|master/ }' /proc/self/mountinfo",
            |spec, bench| {
                spec["linux"]["rootfsPropagation"] = json!("rslave");
                for (at, kind) in [("/s", "rslave"), ("/p", "rprivate")] {
                    spec["mounts"].as_array_mut().unwrap().push(json!({ "destination": at, "type": "bind", "source": bench.rootfs(), "options": ["rbind", kind] }));
                }
            },
        ),
    ]);
    assert!(seen.first().is_none_or(|text| text.contains("/dev/shm tmpfs")), "{seen:?}");
}

#[test]
fn namespaces_that_are_made_joined_and_shared() {
    let seen = table(&[
        (
            "loopback is up",
            "cat /sys/class/net/lo/operstate; ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1",
            |_, _| (),
        ),
        ("shared with the host", "for n in pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done", |spec, _| {
            spec["linux"]["namespaces"] = json!([{ "type": "mount" }]);
            spec.as_object_mut().unwrap().remove("hostname");
        }),
        ("joined by path", "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc", |spec, _| {
            let path = |kind: &str| format!("/proc/{}/ns/{kind}", std::process::id());
            spec["linux"]["namespaces"] = json!([
                { "type": "mount" }, { "type": "pid" }, { "type": "uts" },
                { "type": "network", "path": path("net") }, { "type": "ipc", "path": path("ipc") }
            ]);
        }),
        (
            "a user namespace",
            "id; cat /proc/self/uid_map /proc/self/gid_map; grep Cap /proc/self/status; echo x > /dev/null && echo written; touch /tmp/y",
            |spec, _| {
                spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
                spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
                spec["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 200000, "size": 1000 }]);
            },
        ),
        (
            "kernel settings",
            "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max",
            |spec, _| {
                spec["linux"]["sysctl"] =
                    json!({ "net.ipv4.ip_forward": "1", "kernel.shmmax": "1234567", "fs.mqueue.msg_max": "7" });
            },
        ),
    ]);
    assert!(seen.first().is_none_or(|text| text.contains("lo")), "{seen:?}");
}

#[test]
fn system_calls_are_filtered() {
    let seen = table(&[
        (
            "refused by name",
            "mkdir /tmp/a; chmod 600 /etc/passwd && echo may; grep Seccomp: /proc/self/status",
            |spec, _| {
                spec["linux"]["seccomp"] = json!({
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]
                });
            },
        ),
        ("with an error of its own", "mkdir /tmp/a; hostname x; ln -s a /tmp/l", |spec, _| {
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 },
                    { "names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 17 }
                ]
            });
        }),
        ("two errors for one call", "mkdir /tmp/a", |spec, _| {
            let rule =
                |error: u32| json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": error });
            spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule(28), rule(17)] });
        }),
        ("by arguments", "kill -0 $$ && echo zero; kill -15 1; echo $?", |spec, _| {
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
                               "args": [{ "index": 1, "value": 15, "op": "SCMP_CMP_EQ" }] }]
            });
        }),
        ("killed", "mkdir /tmp/a; echo $?", |spec, _| {
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]
            });
        }),
        ("where privileges may be gained", "mkdir /tmp/a; grep -E 'Seccomp:|NoNew' /proc/self/status", |spec, _| {
            spec["process"]["noNewPrivileges"] = json!(false);
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5 }]
            });
        }),
        ("calls that the program does not need and the runtime may", STATUS, |spec, _| {
            spec["process"]["noNewPrivileges"] = json!(false);
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["accept", "accept4", "faccessat2", "statx"], "action": "SCMP_ACT_ERRNO" }]
            });
        }),
        ("a user who may gain privileges holds none for it", STATUS, |spec, _| {
            spec["process"]["noNewPrivileges"] = json!(false);
            spec["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["capset"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }]
            });
        }),
    ]);
    assert!(
        seen.first().is_none_or(|text| text.contains("Operation not permitted") && text.contains("may")),
        "{seen:?}"
    );
}

#[test]
fn resources_are_limited() {
    if !std::path::Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        eprintln!("skipped: the control groups of this computer are not of version 1");
        return;
    }
    table(&[(
        "version 1",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us cpuset/cpuset.cpus; \
         cat blkio/blkio.bfq.weight blkio/blkio.weight; \
         sort devices/devices.list; grep -v unified /proc/self/cgroup | grep -v '^0' | cut -d: -f3 | sort -u",
        |spec, _| {
            spec["linux"]["cgroupsPath"] = json!(format!("/devenv-test-oci/{}", std::process::id()));
            spec["linux"]["resources"] = json!({
                "memory": { "limit": 67108864 }, "blockIO": { "weight": 500 }, "pids": { "limit": 33 },
                "cpu": { "shares": 512, "quota": 50000, "period": 100000, "cpus": "0" },
                "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }]
            });
        },
    )]);
    let left = |controller: &str| format!("/sys/fs/cgroup/{controller}/devenv-test-oci/{}", std::process::id());
    for controller in ["memory", "pids", "devices"] {
        assert!(!std::path::Path::new(&left(controller)).exists(), "{controller} is left");
        let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/{controller}/devenv-test-oci"));
    }
}

//! A bundle, and two runtimes to give it to.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with a busybox tree, and what containers make.
pub struct Bench {
    pub folder: TempDir,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runtime {
    Runc,
    Ours,
}

pub const BOTH: [Runtime; 2] = [Runtime::Runc, Runtime::Ours];

/// What a container left.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub output: String,
    /// 128 + N for signal N.
    pub code: i32,
}

static ADOPT: Once = Once::new();
/// Control groups are named after ids, so no two tests may share one.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Bench {
    /// `None` where the tests cannot run.
    pub fn new() -> Option<Bench> {
        let missing = match () {
            () if !nix::unistd::geteuid().is_root() => Some("root"),
            () if !Path::new("/usr/sbin/runc").exists() && !Path::new("/usr/bin/runc").exists() => Some("runc"),
            () if !Path::new("/bin/busybox").exists() => Some("busybox"),
            () => None,
        };
        if let Some(missing) = missing {
            assert!(std::env::var_os("CI").is_none(), "needs {missing}");
            eprintln!("skipped: needs {missing}");
            return None;
        }
        // Containers outlive the command that made them, and their exit codes come to us.
        ADOPT.call_once(|| nix::sys::prctl::set_child_subreaper(true).unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bench = Bench { folder };
        let root = bench.rootfs();
        for part in ["bin", "proc", "sys", "dev", "tmp", "etc", "home/u", "data"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let list = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(list).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nu:x:1000:\n").unwrap();
        Some(bench)
    }

    pub fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// A spec that runs `script` in a shell, as runc's own `spec` would have it.
    pub fn spec(&self, script: &str) -> Value {
        let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"]);
        let mount = |at: &str, kind: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": kind, "options": options });
        let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": ["sh", "-c", script],
                "env": ["PATH=/bin", "TERM=dumb"],
                "cwd": "/",
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512 }],
                "noNewPrivileges": true
            },
            "root": { "path": self.rootfs() },
            "hostname": "boxed",
            "mounts": [
                mount("/proc", "proc", &[]),
                mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
                mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
                mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
            ],
            "linux": {
                "namespaces": namespaces,
                "maskedPaths": ["/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware", "/not/there"],
                "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
                "resources": { "devices": [{ "allow": false, "access": "rwm" }] }
            }
        })
    }

    /// A new container of `runtime` from `spec`.
    pub fn container(&self, runtime: Runtime, spec: &Value) -> Container {
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let id = format!("devenv-test-{}-{number}", std::process::id());
        let folder = self.folder.path().join(&id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), spec.to_string()).unwrap();
        let state = self.folder.path().join(format!("{runtime:?}"));
        Container { runtime, id, folder, state }
    }

    /// Runs `spec` from creation to deletion.
    pub fn run(&self, runtime: Runtime, spec: &Value) -> Seen {
        let container = self.container(runtime, spec);
        container.expect(&["create"]);
        container.expect(&["start"]);
        let code = container.wait();
        let seen = Seen { output: container.output(), code };
        container.expect(&["delete"]);
        seen
    }

    /// Asserts that both runtimes show the same, and gives it.
    pub fn same(&self, name: &str, spec: &Value) -> Seen {
        let [theirs, ours] = BOTH.map(|runtime| self.run(runtime, spec));
        assert_eq!(ours, theirs, "{name}: left is ours, right is runc's");
        ours
    }
}

/// One container.
pub struct Container {
    runtime: Runtime,
    pub id: String,
    pub folder: PathBuf,
    state: PathBuf,
}

impl Container {
    /// Runs an operation; the container's id is put behind its first word.
    pub fn call(&self, words: &[&str]) -> Output {
        let command = match self.runtime {
            Runtime::Runc => Command::new("runc"),
            Runtime::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_devenv"));
                command.arg("oci");
                command
            }
        };
        self.run(command, words)
    }

    /// Creates the container by our runtime, as a root that lacks a capability.
    pub fn create_without(&self, capability: &str) -> Output {
        let mut command = Command::new("setpriv");
        let less = format!("-{capability}");
        command.args(["--bounding-set", &less, "--inh-caps", &less, env!("CARGO_BIN_EXE_devenv"), "oci"]);
        self.run(command, &["create"])
    }

    fn run(&self, mut command: Command, words: &[&str]) -> Output {
        let (operation, rest) = words.split_first().unwrap();
        command.arg("--root").arg(&self.state).arg("--log").arg(self.folder.join("log")).args(["--log-format", "json"]);
        command.arg(operation).stdin(Stdio::null());
        if *operation != "create" {
            return command
                .args(rest.iter().filter(|word| word.starts_with('-')))
                .arg(&self.id)
                .args(rest.iter().filter(|word| !word.starts_with('-')))
                .output()
                .unwrap();
        }
        let file = |name: &str| File::create(self.folder.join(name)).unwrap();
        command
            .arg("--bundle")
            .arg(&self.folder)
            .arg("--pid-file")
            .arg(self.folder.join("pid"))
            .args(rest)
            .arg(&self.id);
        // Files and not pipes: the container keeps them open.
        let status = command.stdout(file("out")).stderr(file("err")).status().unwrap();
        Output { status, stdout: Vec::new(), stderr: fs::read(self.folder.join("err")).unwrap() }
    }

    pub fn expect(&self, words: &[&str]) {
        let output = self.call(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?} {words:?}: {said}", self.runtime);
    }

    pub fn succeeds(&self, words: &[&str]) -> bool {
        self.call(words).status.success()
    }

    pub fn pid(&self) -> i32 {
        fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }

    /// Waits for the end of the first process.
    pub fn wait(&self) -> i32 {
        use nix::sys::wait::{WaitStatus, waitpid};
        match waitpid(nix::unistd::Pid::from_raw(self.pid()), None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("{other:?}"),
        }
    }

    /// Standard output and error of the program.
    pub fn output(&self) -> String {
        let text = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap();
        text("out") + &text("err")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn state(&self) -> Option<Value> {
        let output = self.call(&["state"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    pub fn status(&self) -> Option<String> {
        Some(self.state()?["status"].as_str()?.to_owned())
    }
}

/// Waits until `condition` holds.
pub fn within(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

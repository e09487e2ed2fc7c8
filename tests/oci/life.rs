//! How a container lives: states, signals, hooks, terminals, and what is refused.

use crate::bench::{BOTH, Bench, Runtime, within};
use serde_json::{Value, json};
use std::fs;

#[test]
fn states_follow_each_other() {
    let Some(bench) = Bench::new() else { return };
    let spec = bench.spec("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
    let lives = BOTH.map(|runtime| {
        let mut seen: Vec<String> = Vec::new();
        let container = bench.container(runtime, &spec);
        let mut note = |what: &str, fact: String| seen.push(format!("{what}: {fact}"));
        note("unknown", format!("{:?} {}", container.status(), container.succeeds(&["delete"])));
        note("unknown by force", container.succeeds(&["delete", "--force"]).to_string());
        note("start of nothing", container.succeeds(&["start"]).to_string());
        container.expect(&["create"]);
        note("after create", format!("{:?} {:?}", container.status(), container.output()));
        let state = container.state().unwrap();
        note(
            "state",
            format!(
                "{} {} {}",
                state["id"] == container.id.as_str(),
                state["pid"] == container.pid(),
                state["bundle"] == json!(container.folder)
            ),
        );
        container.expect(&["start"]);
        within("the program", || container.output().contains("ready"));
        note("after start", format!("{:?}", container.status()));
        note("start again", container.succeeds(&["start"]).to_string());
        note("delete of a running one", container.succeeds(&["delete"]).to_string());
        note("an unknown signal", container.succeeds(&["kill", "NOSUCH"]).to_string());
        note("kill", container.succeeds(&["kill", "TERM"]).to_string());
        note("exit code", container.wait().to_string());
        note("after the end", format!("{:?}", container.status()));
        note("kill of a stopped one", container.succeeds(&["kill", "9"]).to_string());
        note("start of a stopped one", container.succeeds(&["start"]).to_string());
        note("delete", container.succeeds(&["delete"]).to_string());
        note("delete again", container.succeeds(&["delete"]).to_string());
        seen
    });
    assert_eq!(lives[1], lives[0], "left is ours, right is runc's");
}

#[test]
fn force_ends_what_runs_and_a_created_one_can_be_killed_or_deleted() {
    let Some(bench) = Bench::new() else { return };
    let spec = bench.spec("sleep 1000");
    for runtime in BOTH {
        let running = bench.container(runtime, &spec);
        running.expect(&["create"]);
        running.expect(&["start"]);
        running.expect(&["delete", "--force"]);
        assert_eq!((running.wait(), running.status()), (137, None), "{runtime:?}");
        let killed = bench.container(runtime, &spec);
        killed.expect(&["create"]);
        killed.expect(&["kill", "KILL"]);
        assert_eq!((killed.wait(), killed.status().as_deref()), (137, Some("stopped")), "{runtime:?}");
        killed.expect(&["delete"]);
        let deleted = bench.container(runtime, &spec);
        deleted.expect(&["create"]);
        deleted.expect(&["delete"]);
        assert_eq!((deleted.wait(), deleted.status()), (137, None), "{runtime:?}");
    }
}

#[test]
fn one_id_is_one_container() {
    let Some(bench) = Bench::new() else { return };
    let container = bench.container(Runtime::Ours, &bench.spec("sleep 1000"));
    container.expect(&["create"]);
    let pid = container.pid();
    let refused = container.call(&["create"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("already exists"));
    assert!(container.log().lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["level"] == "error" && line["msg"].as_str().unwrap().contains("already exists") && line["time"].is_string()
    }));
    assert_eq!((container.status().as_deref(), container.pid()), (Some("created"), pid));
    container.expect(&["delete", "--force"]);
    container.wait();
}

#[test]
fn all_processes_can_be_reached_without_a_namespace() {
    let Some(bench) = Bench::new() else { return };
    let mut spec = bench.spec("sleep 1000 & sleep 1000 & echo ready; wait");
    spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "pid");
    for runtime in BOTH {
        let container = bench.container(runtime, &spec);
        container.expect(&["create"]);
        container.expect(&["start"]);
        within("the program", || container.output().contains("ready"));
        container.expect(&["kill", "--all", "KILL"]);
        assert_eq!(container.wait(), 137);
        container.expect(&["delete"]);
        let cgroup = format!("/sys/fs/cgroup/pids/{}", container.id);
        assert!(!std::path::Path::new(&cgroup).exists(), "{runtime:?}: {cgroup} is left");
    }
}

#[test]
fn hooks_run_in_their_order_with_the_state() {
    let Some(bench) = Bench::new() else { return };
    // Busybox is where both the host and the container find it.
    let orders = BOTH.map(|runtime| {
        let notes = bench.folder.path().join(format!("notes-{runtime:?}"));
        fs::create_dir(&notes).unwrap();
        let script = |name: &str| {
            let file = notes.join("order");
            format!(
                "s=$(cat); echo {name} $X $(echo \"$s\" | grep -o '\"status\": *\"[a-z]*\"' | tr -d ' ') \
                 $(echo \"$s\" | grep -c '\"note\"') >> {}",
                file.display()
            )
        };
        let hook = |name: &str| json!([{ "path": "/bin/busybox", "args": ["sh", "-c", script(name)], "env": ["X=1", "PATH=/bin"], "timeout": 30 }]);
        let mut spec = bench.spec(&format!("echo program >> {}/order", notes.display()));
        spec["annotations"] = json!({ "note": "kept" });
        spec["mounts"].as_array_mut().unwrap().push(json!({ "destination": notes, "type": "bind", "source": notes, "options": ["bind"] }));
        let moments = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        spec["hooks"] = moments.iter().map(|moment| ((*moment).to_owned(), hook(moment))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(bench.run(runtime, &spec).code, 0);
        let text = fs::read_to_string(notes.join("order")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // The program and the hook after its start are in no order, and runc still says "created" there, where the
        // specification has "running".
        lines[3..6].sort();
        lines[3] = lines[3].replace("created", "running");
        lines
    });
    assert_eq!(orders[1].len(), 7);
    assert_eq!(orders[1], orders[0], "left is ours, right is runc's");
}

#[test]
fn a_killed_creation_can_be_removed() {
    let Some(bench) = Bench::new() else { return };
    let notes = bench.folder.path().join("asked");
    let mut spec = bench.spec("echo never");
    let script = format!("echo $$ > {}; exec sleep 1000", notes.display());
    spec["hooks"] = json!({ "createRuntime": [{ "path": "/bin/busybox", "args": ["sh", "-c", script] }] });
    let container = bench.container(Runtime::Ours, &spec);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| container.succeeds(&["create"]));
        within("the hook", || fs::read_to_string(&notes).is_ok_and(|text| text.ends_with('\n')));
        assert_eq!(container.status().as_deref(), Some("creating"));
        assert!(!container.succeeds(&["start"]));
        assert!(!container.succeeds(&["delete"]));
        container.expect(&["delete", "--force"]);
        // The hook still runs: its end is the end of the creation.
        let hook: i32 = fs::read_to_string(&notes).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(hook), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert!(!making.join().unwrap());
    });
    assert_eq!(container.status(), None);
}

#[test]
fn a_hook_that_fails_or_hangs_ends_the_making() {
    let Some(bench) = Bench::new() else { return };
    for (moment, script, timeout) in
        [("createRuntime", "exit 3", 30), ("prestart", "sleep 1000", 1), ("createContainer", "exit 3", 30)]
    {
        let mut spec = bench.spec("echo never");
        spec["hooks"] =
            json!({ moment: [{ "path": "/bin/busybox", "args": ["sh", "-c", script], "timeout": timeout }] });
        for runtime in BOTH {
            let container = bench.container(runtime, &spec);
            assert!(!container.succeeds(&["create"]), "{runtime:?} {moment}");
            assert_eq!(container.status(), None, "{runtime:?} {moment}");
            assert!(!container.output().contains("never"));
        }
    }
}

#[test]
fn failures_leave_nothing_and_say_what_is_wrong() {
    let Some(bench) = Bench::new() else { return };
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 8] = [
        ("executable file not found in $PATH", |spec| spec["process"]["args"] = json!(["no-such-program"])),
        ("no such file or directory", |spec| spec["process"]["args"] = json!(["/no/such/program"])),
        ("permission denied", |spec| spec["process"]["args"] = json!(["/etc/passwd"])),
        ("/no/such/source", |spec| {
            spec["mounts"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "destination": "/x", "type": "bind", "source": "/no/such/source", "options": ["bind"] }));
        }),
        ("kernel.panic", |spec| spec["linux"]["sysctl"] = json!({ "kernel.panic": "1" })),
        ("RLIMIT_NOFILE", |spec| {
            spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 2000, "hard": 1000 }])
        }),
        ("namespace 'net'", |spec| {
            let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|one| one["type"] != "network");
            let of_another_kind = format!("/proc/{}/ns/ipc", std::process::id());
            namespaces.push(json!({ "type": "network", "path": of_another_kind }));
        }),
        ("rootfs-that-is-not", |spec| spec["root"]["path"] = json!("rootfs-that-is-not")),
    ];
    for (word, change) in cases {
        let mut spec = bench.spec("echo never");
        change(&mut spec);
        for runtime in BOTH {
            let container = bench.container(runtime, &spec);
            let output = container.call(&["create"]);
            assert!(!output.status.success(), "{runtime:?}: {word}");
            assert_eq!(container.status(), None, "{runtime:?}: {word}");
            if runtime == Runtime::Ours {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains(word), "{said}");
                assert!(container.log().contains(word));
                assert!(!std::path::Path::new(&format!("/sys/fs/cgroup/pids/{}", container.id)).exists());
            }
        }
    }
}

#[test]
fn what_is_not_carried_out_is_refused() {
    let Some(bench) = Bench::new() else { return };
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 4] = [
        ("SCMP_ACT_NOTIFY", |spec| {
            let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" });
            spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        }),
        ("apparmorProfile", |spec| spec["process"]["apparmorProfile"] = json!("some-profile")),
        ("systemd", |spec| spec["linux"]["cgroupsPath"] = json!("machine.slice:x:y")),
        ("time", |spec| spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }))),
    ];
    for (word, change) in cases {
        let mut spec = bench.spec("echo never");
        change(&mut spec);
        let container = bench.container(Runtime::Ours, &spec);
        let output = container.call(&["create"]);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(word), "{word}");
        assert_eq!(container.status(), None);
    }
}

#[test]
fn a_terminal_is_sent_over_the_console_socket() {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    let Some(bench) = Bench::new() else { return };
    let mut spec = bench.spec("test -t 0 && test -t 2 && tty; stty size; ls -l /dev/console | cut -c1");
    spec["process"]["terminal"] = json!(true);
    spec["process"]["consoleSize"] = json!({ "height": 33, "width": 77 });
    let seen = BOTH.map(|runtime| {
        let container = bench.container(runtime, &spec);
        let path = container.folder.join("console");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        container.expect(&["create", "--console-socket", path.to_str().unwrap()]);
        let (connection, _) = listener.accept().unwrap();
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        devenv::sys::linux::descriptors::receive(&connection, &mut [0; 64], &mut descriptors).unwrap();
        let mut controller = fs::File::from(descriptors.pop().unwrap());
        container.expect(&["start"]);
        let mut text = Vec::new();
        // EIO: nobody has the terminal open any more.
        let _ = controller.read_to_end(&mut text);
        let code = container.wait();
        container.expect(&["delete"]);
        (String::from_utf8(text).unwrap(), code)
    });
    assert_eq!(seen[1], ("/dev/pts/0\r\n33 77\r\nc\r\n".to_owned(), 0));
    assert_eq!(seen[1], seen[0], "left is ours, right is runc's");
    let without = bench.container(Runtime::Ours, &spec);
    assert!(!without.succeeds(&["create"]));
}

#[test]
fn features_are_told() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_devenv")).args(["oci", "features"]).output().unwrap();
    let features: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert_eq!(features["hooks"].as_array().unwrap().len(), 6);
}

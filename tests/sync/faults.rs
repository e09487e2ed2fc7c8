//! One end is killed at each of its system calls of some kinds, its disk is full, or a call fails.

use crate::ends::{End, ask};
use crate::oracle::tree;
use devenv::model::sync::SyncStatus;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Variable of the long run: up to which call of each kind an end is killed.
const LAST: &str = "DEVENV_TEST_KILL_LAST";

/// Variable of the long run: files in one folder.
const WIDE: &str = "DEVENV_TEST_WIDE_FOLDER";

/// Two trees that were equal, and what was done to them since.
struct Trees(tempfile::TempDir);

impl Trees {
    fn new() -> Trees {
        let trees = Trees(tempfile::tempdir().unwrap());
        for side in ["here", "there"] {
            fs::create_dir(trees.at(side)).unwrap();
        }
        for name in ["edited", "deleted", "folder/inner", "becomes", "theirs"] {
            trees.write(&format!("here/{name}"), "first");
        }
        let ends = (End::start("there", trees.0.path()), End::start("here", trees.0.path()));
        assert_eq!(ask(trees.0.path(), "flush"), "done");
        drop(ends);
        trees.write("here/edited", "second");
        trees.write("here/new/deep/er", "new");
        trees.write("here/large", &"x".repeat(600_000));
        trees.write("there/theirs", "second, there");
        trees.write("there/large-there", &"y".repeat(300_000));
        fs::remove_file(trees.at("here/deleted")).unwrap();
        fs::remove_dir_all(trees.at("there/folder")).unwrap();
        fs::remove_file(trees.at("here/becomes")).unwrap();
        trees.write("here/becomes/a-folder", "now");
        std::os::unix::fs::symlink("edited", trees.at("there/link")).unwrap();
        trees
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        write(&self.at(name), content);
    }

    fn status(&self) -> SyncStatus {
        serde_json::from_str(&ask(self.0.path(), "status")).unwrap()
    }

    /// What both sides have when all is done.
    fn settled(&self, what: &str) -> BTreeMap<String, String> {
        assert_eq!(ask(self.0.path(), "flush"), "done", "{what}");
        let status = self.status();
        assert_eq!((status.conflict_count, status.skipped_count), (0, 0), "{what}: {status:?}");
        let (here, there) = (tree(&self.at("here")), tree(&self.at("there")));
        assert_eq!(here, there, "{what}");
        here
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn can(command: &[&str]) -> bool {
    let run = Command::new(command[0]).args(&command[1..]).arg("true").stderr(Stdio::null()).status();
    let can = run.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: {} does not work here", command[0]);
    }
    can
}

/// Kills `end` at the `count`th call of a kind by one of its threads. Returns whether it got that far.
fn kill_at(end: &str, call: &str, count: u32, wanted: &BTreeMap<String, String>) -> bool {
    let trees = Trees::new();
    let what = format!("{end} killed at {call} {count}");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={count}"));
    let other = if end == "here" { "there" } else { "here" };
    let _other = End::start(other, trees.0.path());
    let mut killed = End::below(&["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject], end, trees.0.path());
    let folder = trees.0.path().to_owned();
    let flush = std::thread::spawn(move || ask(&folder, "flush"));
    let until = Instant::now() + PATIENCE;
    while !flush.is_finished() && !killed.has_ended() {
        assert!(Instant::now() < until, "{what}: neither killed nor done");
        std::thread::sleep(Duration::from_millis(2));
    }
    let was_killed = killed.has_ended();
    killed.kill();
    let again = End::start(end, trees.0.path());
    assert_eq!(flush.join().unwrap(), "done", "{what}");
    assert_eq!(trees.settled(&what), *wanted, "{what}");
    drop(again);
    was_killed
}

#[test]
fn killed_at_any_call_the_next_start_ends_where_an_undisturbed_run_ends() {
    if !can(&["strace", "-o", "/dev/null"]) {
        return;
    }
    let trees = Trees::new();
    let ends = (End::start("there", trees.0.path()), End::start("here", trees.0.path()));
    let wanted = trees.settled("undisturbed");
    drop(ends);
    assert!(wanted["edited"].contains("second") && !wanted.contains_key("deleted") && wanted.contains_key("link"));
    let last: Option<u32> = std::env::var(LAST).ok().and_then(|text| text.parse().ok());
    let kinds = [("renameat2", 2), ("unlinkat", 1), ("mkdirat", 2), ("fsync", 1), ("write", 6), ("openat", 60)];
    for end in ["there", "here"] {
        for (call, count) in kinds {
            let counts = last.map_or(count..=count, |last| 1..=last);
            for count in counts {
                if !kill_at(end, call, count, &wanted) && last.is_some() {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_folder_of_very_many_files_goes_over() {
    let count: u32 = std::env::var(WIDE).ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("there")).unwrap();
    let wide = folder.path().join("here/wide");
    fs::create_dir_all(&wide).unwrap();
    for number in 0..count {
        fs::File::create(wide.join(format!("{number:07}"))).unwrap();
    }
    let _ends = (End::start("there", folder.path()), End::start("here", folder.path()));
    // A flush of so many may take longer than an answer is waited for.
    let until = Instant::now() + PATIENCE * (1 + count / 10_000);
    while ask(folder.path(), "flush") != "done" {
        assert!(Instant::now() < until);
    }
    assert_eq!(fs::read_dir(folder.path().join("there/wide")).unwrap().count(), count as usize);
    fs::write(wide.join("0000001"), "one of them").unwrap();
    assert_eq!(ask(folder.path(), "flush"), "done");
    assert_eq!(fs::read_to_string(folder.path().join("there/wide/0000001")).unwrap(), "one of them");
}

#[test]
fn a_full_disk_stops_what_is_too_large_and_nothing_else() {
    const DISK: &str =
        "mount -t tmpfs -o size=1m none \"$DEVENV_TEST_SYNC_FOLDER/$DEVENV_TEST_SYNC_END\" && exec \"$@\"";
    let own_mounts = ["unshare", "--user", "--map-root-user", "--mount"];
    if !can(&own_mounts) {
        return;
    }
    let command: Vec<&str> = own_mounts.into_iter().chain(["sh", "-c", DISK, "sh"]).collect();
    for (full, other) in [("there", "here"), ("here", "there")] {
        let folder = tempfile::tempdir().unwrap();
        for side in ["here", "there"] {
            fs::create_dir(folder.path().join(side)).unwrap();
        }
        let from = folder.path().join(other);
        write(&from.join("small"), "fits");
        write(&from.join("large"), &"x".repeat(3 << 20));
        let _other = End::start(other, folder.path());
        let end = End::below(&command, full, folder.path());
        // Its disk is seen by itself only.
        let disk = PathBuf::from(format!("/proc/{}/root", end.id()))
            .join(from.strip_prefix("/").unwrap().with_file_name(full));
        assert_eq!(ask(folder.path(), "flush"), "done");
        let status: SyncStatus = serde_json::from_str(&ask(folder.path(), "status")).unwrap();
        assert!(status.skipped.iter().any(|skipped| skipped.path == "large"), "{full}: {status:?}");
        assert_eq!(fs::read_to_string(disk.join("small")).unwrap(), "fits");
        assert!(!disk.join("large").exists(), "{full}: half a file");
        write(&from.join("large"), "fits now");
        assert_eq!(ask(folder.path(), "flush"), "done");
        assert_eq!(fs::read_to_string(disk.join("large")).unwrap(), "fits now", "{full}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_listed_and_the_rest_goes_on() {
    if !can(&["strace", "-o", "/dev/null"]) {
        return;
    }
    for end in ["there", "here"] {
        for (call, error) in [("renameat2", "EACCES"), ("openat", "EIO")] {
            let what = format!("{end}: {call} {error}");
            let folder = tempfile::tempdir().unwrap();
            for side in ["here", "there"] {
                write(&folder.path().join(side).join("bad/kept"), "the same");
            }
            let (own, other) = (folder.path().join(end), if end == "here" { "there" } else { "here" });
            let away = folder.path().join(other);
            write(&away.join("bad/new"), "cannot come");
            write(&away.join("good"), "comes");
            let bad = own.join("bad");
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}"));
            let tracer = ["strace", "-f", "-o", "/dev/null", "-P", bad.to_str().unwrap(), "-e", &trace, "-e", &inject];
            let _other = End::start(other, folder.path());
            let _end = End::below(&tracer, end, folder.path());
            assert_eq!(ask(folder.path(), "flush"), "done", "{what}");
            let status: SyncStatus = serde_json::from_str(&ask(folder.path(), "status")).unwrap();
            assert!(status.skipped.iter().any(|skipped| skipped.path.starts_with("bad")), "{what}: {status:?}");
            assert_eq!(fs::read_to_string(own.join("good")).unwrap(), "comes", "{what}");
            for side in [&own, &away] {
                assert_eq!(fs::read_to_string(side.join("bad/kept")).unwrap(), "the same", "{what}");
            }
            assert_eq!(fs::read_to_string(away.join("bad/new")).unwrap(), "cannot come", "{what}");
        }
    }
}

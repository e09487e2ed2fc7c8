//! Two people work in the two trees at random while either end, or the connection with it, is killed at random and files
//! of its state are cut. After each storm: the trees are equal apart from the conflicts that are listed, and everything
//! that was written and not thrown away by its author is in a tree or in the trash.

use crate::ends::{End, ask};
use crate::oracle::{Oracle, tree};
use crate::user::{Random, User};
use devenv::model::sync::SyncStatus;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Variables of the long run: how many seconds, and from which seed on.
const SECONDS: &str = "DEVENV_TEST_TORTURE_SECONDS";
const SEED: &str = "DEVENV_TEST_TORTURE_SEED";

#[test]
fn short_storms() {
    for seed in [1, 2] {
        Storms::new(seed).run(3, 120);
    }
}

#[test]
#[ignore = "as long as it is told: tests/bench/run sync-torture"]
fn long_storms() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number(SECONDS).unwrap_or(60);
    let mut seed = number(SEED).unwrap_or(1);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        println!("seed {seed}");
        Storms::new(seed).run(12, 200);
        seed += 1;
    }
}

struct Storms {
    seed: u64,
    random: Random,
    /// Dropped before the folder they work in.
    ends: Option<(End, End)>,
    folder: tempfile::TempDir,
    oracle: Oracle,
    users: [User; 2],
}

impl Storms {
    fn new(seed: u64) -> Storms {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["here", "there"] {
            fs::create_dir(at(name)).unwrap();
        }
        let users =
            [User::new(&at("here"), &at("bin-here"), "here"), User::new(&at("there"), &at("bin-there"), "there")];
        Storms { seed, random: Random::new(seed), oracle: Oracle::default(), users, ends: None, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(mut self, storms: u64, steps: u64) {
        self.ends = Some((End::start("there", self.folder.path()), End::start("here", self.folder.path())));
        for storm in 0..storms {
            for _ in 0..steps {
                let user = self.random.below(2) as usize;
                self.users[user].work(&mut self.random, &mut self.oracle);
                match self.random.below(60) {
                    0 => self.kill_one(),
                    1..8 => std::thread::sleep(Duration::from_millis(self.random.below(30))),
                    _ => {}
                }
            }
            self.check(storm);
        }
    }

    fn kill_one(&mut self) {
        let folder = self.folder.path().to_owned();
        let (there, here) = self.ends.as_mut().expect("started");
        let (name, end) = if self.random.below(2) == 0 { ("there", there) } else { ("here", here) };
        end.kill();
        if self.random.below(3) == 0 {
            let state = folder.join(format!("state-{name}"));
            let files = ["journal", "base", "seen", "here/seen"].map(|file| state.join(file));
            cut(&files[self.random.below(4) as usize], &mut self.random);
        }
        *end = End::start(name, &folder);
    }

    fn check(&mut self, storm: u64) {
        let what = format!("seed {}, storm {storm}", self.seed);
        let end = Instant::now() + Duration::from_secs(120);
        let status = loop {
            let answer = ask(self.folder.path(), "flush");
            if answer == "done" {
                let status: SyncStatus = serde_json::from_str(&ask(self.folder.path(), "status")).unwrap();
                break status;
            }
            if Instant::now() > end {
                let status = ask(self.folder.path(), "status");
                self.fail(&format!("{what}: {answer} {status}"));
            }
            ask(self.folder.path(), "resume");
        };
        let (here, there) = (tree(&self.at("here")), tree(&self.at("there")));
        let listed = |path: &str| {
            status.conflicts.iter().any(|conflict| {
                let within = |one: &str, other: &str| one == other || one.starts_with(&format!("{other}/"));
                within(path, &conflict.path) || within(&conflict.path, path)
            })
        };
        for path in here.keys().chain(there.keys()) {
            let (own, other) = (here.get(path), there.get(path));
            if own != other && !listed(path) {
                self.fail(&format!("{what}: {path} differs: {own:?} / {other:?}; {status:?}"));
            }
        }
        let trees = [self.at("here"), self.at("there")];
        let trash = ["state-here/here/trash", "state-there/trash", "state-here/here/stage", "state-there/stage"];
        let everywhere: Vec<PathBuf> = trees.iter().cloned().chain(trash.map(|name| self.at(name))).collect();
        let missing = self.oracle.missing(&everywhere);
        if !missing.is_empty() {
            self.fail(&format!("{what}: lost {missing:?}"));
        }
        self.oracle.forget_all_but(&trees);
        if !status.conflicts.is_empty() {
            ask(self.folder.path(), if self.random.below(2) == 0 { "ours" } else { "theirs" });
        }
    }

    /// Keeps the folder for a look.
    fn fail(&mut self, text: &str) -> ! {
        self.ends = None;
        self.folder.disable_cleanup(true);
        panic!("{text}\nsee {}", self.folder.path().display());
    }
}

/// Cuts a file somewhere, as a crash of the machine might.
fn cut(path: &Path, random: &mut Random) {
    if let Ok(facts) = fs::metadata(path)
        && facts.len() > 0
        && let Ok(file) = fs::File::options().write(true).open(path)
    {
        let _ = file.set_len(random.below(facts.len()));
    }
}

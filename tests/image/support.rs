//! A private store, what it said, and looking at what it made.

use devenv::image::{Image, LayerIds, Patience, Store, StoreOptions, UnpackLimits};
use devenv::model::{Event, Events, Failure, ImageReference, ImageSource, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Keeps what is said.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<Event>>);

impl Events for Heard {
    fn send(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    pub fn notes(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter_map(|event| if let Event::Note { text } = event { Some(text.clone()) } else { None })
            .collect()
    }
}

/// A store in a folder of its own.
pub struct Bench {
    pub folder: TempDir,
    pub root: PathBuf,
    pub limits: UnpackLimits,
    pub settings: Settings,
    pub heard: Arc<Heard>,
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let (limits, settings, heard) = Default::default();
        Bench { folder, root, limits, settings, heard }
    }

    pub fn store(&self) -> Store {
        let ids = if is_root() { LayerIds::Mapped { count: 65536 } } else { LayerIds::Single };
        self.store_with(ids)
    }

    pub fn store_with(&self, ids: LayerIds) -> Store {
        let mut options = StoreOptions::new(&self.root, "x86_64", ids);
        options.limits = self.limits.clone();
        options.patience = Patience { connect_ms: 2_000, stall_ms: 1_500, attempts: 3, back_off_ms: 10 };
        Store::open(options).unwrap()
    }

    pub fn obtain(&self, source: &ImageSource) -> Result<Image, Failure> {
        let events: Arc<dyn Events> = self.heard.clone();
        self.store().obtain(source, &self.settings, false, &|| false, &events)
    }

    pub fn pull(&self, reference: &str) -> Result<Image, Failure> {
        self.obtain(&registry_source(reference))
    }

    /// The failure of a pull or import that must fail, as text; nothing of it may be left.
    pub fn refused(&self, source: &ImageSource) -> String {
        let failure = match self.obtain(source) {
            Ok(image) => panic!("{source} was taken: {image:?}"),
            Err(failure) => failure,
        };
        self.assert_empty();
        failure.chain().join(": ")
    }

    /// Nothing is in the store, visible or not.
    pub fn assert_empty(&self) {
        for folder in ["layers", "records", "images", "names"] {
            assert_eq!(names(&self.root.join(folder)), Vec::<String>::new(), "{folder}");
        }
        let staged: Vec<_> = names(&self.root.join("staging")).into_iter().filter(|name| name != "order").collect();
        assert_eq!(staged, Vec::<String>::new());
        assert_eq!(self.store().list().unwrap(), []);
    }
}

pub fn registry_source(reference: &str) -> ImageSource {
    ImageSource::Registry(ImageReference::parse(reference).unwrap())
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Everything below a folder: kind, mode, owner, time, content.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(name, describe(&path));
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                todo.push(path);
            }
        }
    }
    found
}

fn describe(path: &Path) -> String {
    let facts = fs::symlink_metadata(path).unwrap();
    let kind = facts.file_type();
    let content = if kind.is_symlink() {
        format!("-> {}", fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        crate::make::digest(&fs::read(path).unwrap())
    } else if kind.is_dir() {
        "folder".to_owned()
    } else if kind.is_char_device() {
        format!("device {}", facts.rdev())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else {
        "?".to_owned()
    };
    let (uid, gid) = (facts.uid(), facts.gid());
    let links = if kind.is_file() { facts.nlink() } else { 0 };
    format!("{:o} {uid}:{gid} {}.{} {links} {content}", facts.mode(), facts.mtime(), facts.mtime_nsec())
}

/// Runs a program that must be installed and must succeed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed for this test (see tests/run): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for something that has to come true soon.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

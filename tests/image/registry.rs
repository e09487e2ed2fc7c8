//! Against Debian's docker-registry, with skopeo and umoci as judges.

use crate::make::*;
use crate::support::*;
use devenv::model::{ImageSource, Settings};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Registry {
    child: Child,
    pub port: u16,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Registry {
    pub fn start(folder: &Path) -> Registry {
        Registry::start_with(folder, "")
    }

    /// With more lines for its `http` section.
    pub fn start_with(folder: &Path, http: &str) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("registry.yml");
        let data = folder.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:{port}'{http}}}\n",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry is needed for this test (see tests/run): {error}"));
        let registry = Registry { child, port };
        wait_until("the registry listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        registry
    }

    pub fn push(&self, layout: &Path, name: &str, more: &[&str]) {
        let (from, to) = (format!("oci:{}", layout.display()), format!("docker://127.0.0.1:{}/{name}", self.port));
        run("skopeo", &[&["copy", "--dest-tls-verify=false"], more, &[&from, &to]].concat());
    }
}

fn rich_tar() -> Vec<u8> {
    let long = format!("{}/file", "long-name".repeat(20));
    let pax = [("path", long.as_str()), ("mtime", "1700000000.123456789")];
    tar(&[
        Entry { time: 11, ..folder("./") },
        Entry { mode: 0o1777, time: 12, ..folder("tmp") },
        Entry { mode: 0o2755, owner: (3, 4), time: 13, ..folder("var/mail") },
        Entry { mode: 0o4755, owner: (0, 0), ..file("bin/su", "setuid") },
        Entry { owner: (1000, 1000), mode: 0o600, ..file("home/key", "secret") },
        hard_link("home/key2", "home/key"),
        Entry { owner: (7, 8), ..symlink("lib", "usr/lib") },
        file("usr/lib/x.so", "elf"),
        Entry { pax: &pax, ..file("x", "long") },
        Entry { kind: b'6', mode: 0o640, ..file("pipe", "") },
        file("empty", ""),
    ])
}

#[test]
fn a_pulled_image_is_what_umoci_unpacks() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let layout = folder.join("layout");
    write_layout(&image(&[rich_tar()]), &layout);
    let registry = Registry::start(folder);
    registry.push(&layout, "rich:1", &[]);
    let pulled = bench.pull(&format!("127.0.0.1:{}/rich:1", registry.port)).unwrap();
    let (from, bundle) = (format!("{}:1", layout.display()), folder.join("bundle"));
    let rootless: &[&str] = if is_root() { &[] } else { &["--rootless"] };
    run("umoci", &[&["unpack"], rootless, &["--image", &from, bundle.to_str().unwrap()]].concat());
    let (mut ours, mut theirs) = (tree(&pulled.layers[0]), tree(&bundle.join("rootfs")));
    // Parents that no entry describes: umoci and we may date them differently.
    for undescribed in ["bin", "home", "usr", "usr/lib", "var", &"long-name".repeat(20)] {
        for tree in [&mut ours, &mut theirs] {
            assert!(tree.remove(undescribed).is_some(), "{undescribed}");
        }
    }
    assert_eq!(ours, theirs);
}

#[test]
fn docker_manifests_zstd_and_plain_layers_are_taken() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let tars = [rich_tar(), noisy_tar("noise", 300_000)];
    let layers = [(zstd::encode_all(&tars[0][..], 3).unwrap(), digest(&tars[0])), (tars[1].clone(), digest(&tars[1]))];
    write_layout(&image_of_blobs(&layers), &folder.join("mixed"));
    let mixed = bench.obtain(&ImageSource::OciFolder(folder.join("mixed"), Some("1".into()))).unwrap();
    write_layout(&image(&tars), &folder.join("plain"));
    let registry = Registry::start(folder);
    for (name, format) in [("docker:1", "v2s2"), ("oci:1", "oci")] {
        let other = Bench::new();
        registry.push(&folder.join("plain"), name, &["--format", format]);
        let pulled = other.pull(&format!("127.0.0.1:{}/{name}", registry.port)).unwrap();
        assert_eq!(pulled.layers.len(), 2);
        for (ours, theirs) in pulled.layers.iter().zip(&mixed.layers) {
            let mut both = [tree(ours), tree(theirs)];
            both.iter_mut().for_each(|tree| tree.retain(|_, facts| !facts.contains("folder")));
            assert_eq!(both[0], both[1]);
        }
    }
}

#[test]
fn a_tag_that_moved_is_seen_by_a_refresh_only() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let registry = Registry::start(folder);
    let source = registry_source(&format!("127.0.0.1:{}/moving:1", registry.port));
    let mut digests = Vec::new();
    for content in ["old", "new"] {
        write_layout(&image(&[tar(&[file("a", content)])]), &folder.join(content));
        registry.push(&folder.join(content), "moving:1", &[]);
        digests.push(bench.obtain(&source).unwrap().digest);
    }
    assert_eq!(digests[0], digests[1]);
    let events: std::sync::Arc<dyn devenv::model::Events> = bench.heard.clone();
    let image = bench.store().obtain(&source, &Settings::default(), true, &|| false, &events).unwrap();
    assert_ne!(image.digest, digests[0]);
    assert_eq!(fs::read_to_string(image.layers[0].join("a")).unwrap(), "new");
    assert_eq!(bench.obtain(&source).unwrap().digest, image.digest);
}

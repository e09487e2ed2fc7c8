//! Images in folders and archives.

use crate::make::*;
use crate::support::*;
use devenv::model::{ImageReference, ImageSource, Kind};
use std::fs;
use std::path::Path;

fn sample(folder: &Path) -> Made {
    let made = image(&[tar(&[file("a", "1"), file("b", "2")]), tar(&[file(".wh.a", ""), file("c", "3")])]);
    write_layout(&made, &folder.join("layout"));
    made
}

#[test]
fn layouts_and_archives_give_the_same_image() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let made = sample(folder);
    let (oci, docker) = (folder.join("oci.tar"), folder.join("docker.tar"));
    let from = format!("oci:{}:1", folder.join("layout").display());
    run("skopeo", &["copy", &from, &format!("oci-archive:{}:1", oci.display())]);
    run("skopeo", &["copy", &from, &format!("docker-archive:{}:example.org/app:2", docker.display())]);
    let first = bench.obtain(&ImageSource::OciFolder(folder.join("layout"), None)).unwrap();
    assert_eq!(first.digest, made.manifest_digest);
    assert_eq!((first.config.cmd.clone(), first.size_bytes), (Some(vec!["sh".to_owned()]), 3));
    let from_archive = bench.obtain(&ImageSource::OciArchive(oci, Some("1".into()))).unwrap();
    assert_eq!(from_archive.layers, first.layers);
    for tag in [None, Some("example.org/app:2".to_owned())] {
        let saved = bench.obtain(&ImageSource::DockerArchive(docker.clone(), tag)).unwrap();
        assert_eq!((&saved.layers, &saved.config), (&first.layers, &first.config));
    }
    let wrong = ImageSource::DockerArchive(docker, Some("other:1".into()));
    assert_eq!(bench.obtain(&wrong).unwrap_err().get_kind(), Kind::NotFound);
    // Names are given by hand.
    let name = ImageReference::parse("example.org/app:2").unwrap();
    bench.store().name(&first, &name).unwrap();
    let found = bench.store().find(&ImageSource::Registry(name)).unwrap().unwrap();
    assert_eq!(found.digest, first.digest);
}

#[test]
fn docker_archives_with_links_and_shared_layers_are_read() {
    let bench = Bench::new();
    let layer = tar(&[file("a", "1")]);
    let config = serde_json::json!({"architecture": "amd64", "config": {}, "rootfs": {"diff_ids": [digest(&layer), digest(&layer)]}});
    let manifest =
        serde_json::json!([{"Config": "c.json", "RepoTags": null, "Layers": ["one/layer.tar", "two/layer.tar"]}]);
    let (config, manifest) = (config.to_string(), manifest.to_string());
    let archive = tar(&[
        symlink("two/layer.tar", "../one/layer.tar"),
        Entry { data: &layer, ..file("one/layer.tar", "") },
        file("c.json", &config),
        file("manifest.json", &manifest),
    ]);
    let path = bench.folder.path().join("saved.tar");
    fs::write(&path, archive).unwrap();
    let image = bench.obtain(&ImageSource::DockerArchive(path, None)).unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.layers[0], image.layers[1]);
}

#[test]
fn damage_in_files_is_named() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let made = sample(folder);
    let source = |path: &str| ImageSource::OciFolder(folder.join(path), None);
    assert!(bench.refused(&source("nowhere")).contains("does not exist"));
    fs::create_dir(folder.join("empty")).unwrap();
    assert!(bench.refused(&source("empty")).contains("no OCI image layout"));
    let blob = folder.join("layout/blobs/sha256").join(&made.layers[1]["sha256:".len()..]);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[4] ^= 1; // The time in the gzip header: inflates all the same.
    fs::write(&blob, &bytes).unwrap();
    assert!(bench.refused(&source("layout")).contains("should be sha256:"));
    fs::write(&blob, &bytes[1..]).unwrap();
    assert!(bench.refused(&source("layout")).contains("bytes but should have"));
    fs::remove_file(&blob).unwrap();
    assert!(bench.refused(&source("layout")).contains("there is no blobs/sha256/"));
    let zipped = folder.join("zipped.tar");
    fs::write(&zipped, gzip(&tar(&[file("a", "x")]))).unwrap();
    assert!(bench.refused(&ImageSource::OciArchive(zipped, None)).contains("is compressed"));
}

#[test]
fn sparse_files_keep_their_holes() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let rootfs = folder.join("rootfs");
    fs::create_dir(&rootfs).unwrap();
    let sparse = fs::File::create(rootfs.join("sparse")).unwrap();
    for i in 0..40_u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", i * 100_000).unwrap();
    }
    sparse.set_len(50_000_000).unwrap();
    let expected = crate::make::digest(&fs::read(rootfs.join("sparse")).unwrap());
    for format in ["gnu", "posix", "posix --sparse-version=0.0", "posix --sparse-version=0.1"] {
        let path = folder.join("x.tar");
        let mut arguments = vec!["-cSf", path.to_str().unwrap(), "-C", rootfs.to_str().unwrap()];
        let format = format!("--format={format}");
        arguments.extend(format.split(' '));
        arguments.push("sparse");
        run("tar", &arguments);
        let layout = folder.join(format!("layout{}", format.len()));
        write_layout(&image(&[fs::read(&path).unwrap()]), &layout);
        let image = bench.obtain(&ImageSource::OciFolder(layout, None)).unwrap();
        let file = image.layers[0].join("sparse");
        assert_eq!(crate::make::digest(&fs::read(&file).unwrap()), expected, "{format}");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&file).unwrap());
        assert!(blocks * 512 < 5_000_000, "{format}: {blocks} blocks");
    }
}

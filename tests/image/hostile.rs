//! Layers made to do harm. Each gets an error and leaves nothing, or is made harmless.

use crate::make::*;
use crate::support::*;
use devenv::image::{Image, LayerIds};
use devenv::model::ImageSource;
use devenv::sys::linux::tree::has_attribute;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

fn layout(bench: &Bench, made: &Made) -> ImageSource {
    let folder = bench.folder.path().join("layout");
    write_layout(made, &folder);
    ImageSource::OciFolder(folder, None)
}

/// Imports an image of one layer.
fn unpacked(bench: &Bench, entries: &[Entry]) -> (Image, PathBuf) {
    let image = bench.obtain(&layout(bench, &image(&[tar(entries)]))).unwrap();
    let layer = image.layers[0].clone();
    (image, layer)
}

#[test]
fn layers_that_reach_outside_are_refused() {
    let long = "d/".repeat(2100);
    let deep = [("path", long.as_str())];
    let nul = [("path", "a\0b")];
    let cases: Vec<(&str, Vec<Entry>, &str)> = vec![
        ("dot dot", vec![file("../escaped", "x")], "leads outside"),
        ("dot dot in the middle", vec![file("a/../../escaped", "x")], "leads outside"),
        ("absolute dot dot", vec![file("/../escaped", "x")], "leads outside"),
        ("hard link out", vec![hard_link("a", "../../../etc/passwd")], "leads outside"),
        ("hard link to nothing", vec![hard_link("a", "/etc/passwd")], "does not have"),
        ("hard link to itself", vec![file("a", "x"), hard_link("a", "a")], "itself"),
        ("whiteout of dot dot", vec![file("a/.wh...", "")], "deletes what is no name"),
        ("whiteout of dot", vec![file("a/.wh..", "")], "deletes what is no name"),
        ("whiteout of nothing", vec![file("a/.wh.", "")], "deletes what is no name"),
        ("whiteout with a slash", vec![file(".wh.a/../../b", "")], "leads outside"),
        ("symlinks in a circle", vec![symlink("a", "b"), symlink("b", "a"), file("a/x", "x")], "circles"),
        ("file as a folder", vec![file("a", "x"), file("a/b", "x")], "no folder"),
        ("root as a file", vec![file(".", "x")], "root"),
        ("too long", vec![Entry { pax: &deep, ..file("x", "") }], "longer than paths"),
        ("zero byte", vec![Entry { pax: &nul, ..file("x", "") }], "zero byte"),
        ("unknown type", vec![Entry { kind: b'Z', ..file("x", "") }], "unknown type"),
    ];
    for (name, entries, expected) in cases {
        let bench = Bench::new();
        let said = bench.refused(&layout(&bench, &image(&[tar(&entries)])));
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!bench.folder.path().join("escaped").exists(), "{name}");
    }
}

#[test]
fn links_lead_nowhere_but_into_the_layer() {
    let bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let up = format!("{}{}", "../".repeat(20), outside.display());
    let (_, layer) = unpacked(
        &bench,
        &[
            symlink("absolute", outside.to_str().unwrap()),
            file("absolute/one", "1"),
            symlink("relative", &up),
            file("relative/two", "2"),
            symlink("self", "."),
            file("self/three", "3"),
            symlink("etc", "usr/etc"),
            file("etc/four", "4"),
            file("/five", "5"),
            symlink("passwd", "/etc/passwd"),
            hard_link("linked", "passwd"),
            // A file written through a symlink replaces the link, not its target.
            symlink("shadow", "five"),
            file("shadow", "6"),
        ],
    );
    assert_eq!(names(&outside), Vec::<String>::new());
    let inside = outside.strip_prefix("/").unwrap();
    let read = |path: &str| fs::read_to_string(layer.join(path)).unwrap();
    assert_eq!(read(&format!("{}/one", inside.display())), "1");
    assert_eq!(read(&format!("{}/two", inside.display())), "2");
    assert_eq!(
        (read("three"), read("usr/etc/four"), read("five"), read("shadow")),
        ("3".into(), "4".into(), "5".into(), "6".into())
    );
    assert!(fs::symlink_metadata(layer.join("linked")).unwrap().is_symlink());
}

#[test]
fn devices_are_left_out_and_do_not_become_whiteouts() {
    let bench = Bench::new();
    let (_, layer) = unpacked(&bench, &[device("null"), device("dev/zero"), file("a", "x")]);
    assert_eq!(names(&layer), ["a"]);
    assert_eq!(bench.heard.notes(), ["1 device files of the image were left out"]);
}

#[test]
fn whiteouts_take_the_form_of_overlayfs() {
    let bench = Bench::new();
    let (_, layer) = unpacked(
        &bench,
        &[
            file(".wh.gone", ""),
            folder("opaque/"),
            file("opaque/.wh..wh..opq", ""),
            file("opaque/new", "x"),
            // Deleted and made anew, in both orders: what is below stays hidden.
            file(".wh.again", ""),
            file("again/inside", "x"),
            folder("before"),
            file(".wh.before", ""),
            // The layer's own file stays.
            file("own", "x"),
            file(".wh.own", ""),
            file(".wh..wh.plnk", ""),
        ],
    );
    assert_eq!(names(&layer), ["again", "before", "gone", "opaque", "own"]);
    let gone = fs::symlink_metadata(layer.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device());
    assert_eq!(gone.rdev(), 0);
    let opaque = |name: &str| has_attribute(&File::open(layer.join(name)).unwrap(), b"user.overlay.opaque");
    assert_eq!(["opaque", "again", "before", "own"].map(opaque), [true, true, true, false]);
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    let bench = Bench::new();
    let layers =
        [tar(&[file("old", "1")]), tar(&[file(".wh..wh..opq", ""), file("new", "2")]), tar(&[file("top", "3")])];
    let image = bench.obtain(&layout(&bench, &image(&layers))).unwrap();
    let shown: Vec<_> = image.layers.iter().map(|layer| names(layer)).collect();
    assert_eq!(shown, [["new"], ["top"]]);
}

#[test]
fn attributes_that_steer_the_kernel_are_left_out() {
    let bench = Bench::new();
    let pax = [
        ("SCHILY.xattr.user.mine", "1"),
        ("SCHILY.xattr.user.overlay.opaque", "y"),
        ("SCHILY.xattr.user.overlay.redirect", "/etc"),
        ("SCHILY.xattr.trusted.overlay.opaque", "y"),
        ("SCHILY.xattr.security.selinux", "x"),
    ];
    let (_, layer) = unpacked(&bench, &[Entry { pax: &pax, ..folder("d") }, Entry { pax: &pax, ..file("f", "x") }]);
    for name in ["d", "f"] {
        let opened = File::open(layer.join(name)).unwrap();
        let has = |key: &str| has_attribute(&opened, key.as_bytes());
        assert!(has("user.mine"), "{name}");
        for key in ["user.overlay.opaque", "user.overlay.redirect", "trusted.overlay.opaque"] {
            assert!(!has(key), "{name} {key}");
        }
    }
}

#[test]
fn owners_modes_and_times_are_kept() {
    let bench = Bench::new();
    let (_, layer) = unpacked(
        &bench,
        &[
            Entry { mode: 0o2775, owner: (0, 50), time: 5, ..folder("local") },
            Entry { mode: 0o644, time: 6, ..file("local/plain", "x") },
            Entry { mode: 0o755, time: 7, ..folder("local/sub") },
            Entry { mode: 0o4755, owner: (12, 34), ..file("sudo", "x") },
            Entry { mode: 0o666, owner: (70_000, 3), ..file("far", "x") },
            Entry { pax: &[("mtime", "1234567890.25")], ..file("precise", "x") },
            Entry { kind: b'6', mode: 0o620, ..file("fifo", "") },
        ],
    );
    let facts = |name: &str| fs::symlink_metadata(layer.join(name)).unwrap();
    let row = |name: &str| (facts(name).mode() & 0o7777, facts(name).uid(), facts(name).gid());
    let expected =
        |mode, uid, gid| if is_root() { (mode, uid, gid) } else { (mode, facts("local").uid(), facts("local").gid()) };
    assert_eq!(row("local"), expected(0o2775, 0, 50));
    assert_eq!(row("local/plain"), expected(0o644, 0, 0));
    assert_eq!(row("local/sub"), expected(0o755, 0, 0));
    assert_eq!(row("sudo"), expected(0o4755, 12, 34));
    assert_eq!(row("far"), expected(0o666, 65534, 3));
    assert_eq!(row("fifo"), expected(0o620, 0, 0));
    assert_eq!((facts("local").mtime(), facts("local/plain").mtime(), facts("local/sub").mtime()), (5, 6, 7));
    assert_eq!((facts("precise").mtime(), facts("precise").mtime_nsec()), (1_234_567_890, 250_000_000));
    if is_root() {
        assert_eq!(bench.heard.notes(), ["1 files of the image belong to ids that boxes do not have; now to nobody"]);
    }
}

#[test]
fn with_one_id_everything_belongs_to_it() {
    let bench = Bench::new();
    let source = layout(&bench, &image(&[tar(&[Entry { mode: 0o4755, owner: (12, 34), ..file("a", "x") }])]));
    let store = bench.store_with(LayerIds::Single);
    let events: std::sync::Arc<dyn devenv::model::Events> = bench.heard.clone();
    let image = store.obtain(&source, &bench.settings, false, &|| false, &events).unwrap();
    let (found, own) = (fs::metadata(image.layers[0].join("a")).unwrap(), fs::metadata("/proc/self").unwrap());
    assert_eq!((found.uid(), found.mode() & 0o7777), (own.uid(), 0o4755));
    // Layers of another ownership are not mistaken for these.
    if is_root() {
        assert_eq!(bench.store().find(&source).unwrap(), None);
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let bench = Bench::new();
    let (_, layer) = unpacked(
        &bench,
        &[
            file("a", "1"),
            file("a", "2"),
            file("d/x", "1"),
            file("d", "now a file"),
            file("e", "1"),
            folder("e"),
            file("e/x", "in it"),
            file("f/x", "1"),
            symlink("f", "g"),
            file("f/y", "through the link"),
            file("k", "1"),
            hard_link("l", "k"),
            file("k", "2"),
        ],
    );
    let read = |path: &str| fs::read_to_string(layer.join(path)).unwrap();
    assert_eq!(
        [read("a"), read("d"), read("e/x"), read("g/y"), read("k"), read("l")],
        ["2", "now a file", "in it", "through the link", "2", "1"]
    );
    assert_eq!(names(&layer.join("g")), ["y"]);
}

#[test]
fn bombs_are_stopped() {
    let mut bench = Bench::new();
    bench.limits.unpacked_base_bytes = 1 << 20;
    bench.limits.unpacked_ratio = 10;
    bench.limits.entries = 100;
    bench.limits.header_bytes = 4096;
    let zeros = String::from_utf8(vec![0; 32 << 20]).unwrap();
    let said = bench.refused(&layout(&bench, &image(&[tar(&[file("zeros", &zeros)])])));
    assert!(said.contains("unpacks to more than"), "{said}");
    let many: Vec<String> = (0..200).map(|i| format!("f{i}")).collect();
    let many: Vec<Entry> = many.iter().map(|name| file(name, "")).collect();
    let said = bench.refused(&layout(&bench, &image(&[tar(&many)])));
    assert!(said.contains("more than 100 entries"), "{said}");
    let long = "x".repeat(5000);
    let said = bench.refused(&layout(&bench, &image(&[tar(&[Entry { pax: &[("comment", &long)], ..file("a", "") }])])));
    assert!(said.contains("extended header of"), "{said}");
}

#[test]
fn damaged_layers_are_refused() {
    let good = tar(&[file("a", "some text")]);
    let mut checksum = good.clone();
    checksum[0] = b'b';
    let cases: Vec<(&str, Vec<u8>, String, &str)> = vec![
        ("checksum", gzip(&checksum), digest(&checksum), "checksum"),
        ("cut tar", gzip(&good[..700]), digest(&good[..700]), "ends in the middle"),
        ("cut gzip", gzip(&good)[..60].to_vec(), digest(&good), "decompress"),
        ("other diff id", gzip(&good), digest(b"other"), "but the image says"),
        ("no tar", gzip(&noise(5000)), digest(&noise(5000)), "tar is damaged"),
    ];
    for (name, blob, diff_id, expected) in cases {
        let bench = Bench::new();
        let said = bench.refused(&layout(&bench, &image_of_blobs(&[(blob, diff_id)])));
        assert!(said.contains(expected), "{name}: {said}");
    }
}

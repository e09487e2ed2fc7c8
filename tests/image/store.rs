//! The store itself: names, removal, setups, damage.

use crate::make::*;
use crate::support::*;
use devenv::image::{Image, Setup};
use devenv::model::{ImageReference, ImageSource, Kind};
use std::collections::BTreeSet;
use std::fs;

fn import(bench: &Bench, name: &str, tars: &[Vec<u8>]) -> Image {
    let folder = bench.folder.path().join(name);
    write_layout(&image(tars), &folder);
    bench.obtain(&ImageSource::OciFolder(folder, None)).unwrap()
}

fn reference(name: &str) -> ImageReference {
    ImageReference::parse(name).unwrap()
}

#[test]
fn images_go_with_their_last_name_and_layers_with_their_last_image() {
    let bench = Bench::new();
    let store = bench.store();
    let (base, more) = (tar(&[file("a", "12345")]), tar(&[file("b", "123")]));
    let one = import(&bench, "one", std::slice::from_ref(&base));
    let two = import(&bench, "two", &[base, more]);
    store.name(&one, &reference("one")).unwrap();
    store.name(&two, &reference("two:1")).unwrap();
    store.name(&two, &reference("two:2")).unwrap();
    let listed = || -> Vec<String> {
        store.list().unwrap().iter().map(|image| image.reference.clone().map_or("-".into(), String::from)).collect()
    };
    assert_eq!(listed(), ["docker.io/library/one:latest", "docker.io/library/two:1", "docker.io/library/two:2"]);
    store.remove("two:1").unwrap();
    assert_eq!(listed(), ["docker.io/library/one:latest", "docker.io/library/two:2"]);
    store.remove("two:2").unwrap();
    assert_eq!(listed(), ["docker.io/library/one:latest"]);
    assert_eq!(store.remove("two:2").unwrap_err().get_kind(), Kind::NotFound);
    assert_eq!(names(&bench.root.join("layers")).len(), 2);
    // A running box still uses the layer: it is named in what to keep.
    let layer = two.layers[1].file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(store.prune(&BTreeSet::from([one.digest.clone(), layer])).unwrap(), 0);
    assert_eq!(store.prune(&BTreeSet::from([one.digest.clone()])).unwrap(), 3);
    assert_eq!(names(&bench.root.join("layers")).len(), 1);
    store.remove(&one.digest["sha256:".len()..][..12]).unwrap();
    assert_eq!(store.prune(&BTreeSet::new()).unwrap(), 5);
    bench.assert_empty();
}

#[test]
fn setups_appear_whole_or_not_at_all() {
    let bench = Bench::new();
    let store = bench.store();
    let begin = |key: &str| store.begin_setup(key, || ()).unwrap();
    let Setup::Begun(dropped) = begin("key") else { panic!("it is not there yet") };
    fs::write(dropped.upper().join("a"), "half").unwrap();
    drop(dropped);
    assert_eq!(store.find_setup("key").unwrap(), None);
    bench.assert_empty();
    let Setup::Begun(made) = begin("key") else { panic!("it is not there yet") };
    assert!(made.work().is_dir());
    fs::write(made.upper().join("a"), "whole").unwrap();
    let layer = made.commit(&store).unwrap();
    assert_eq!(fs::read_to_string(layer.join("a")).unwrap(), "whole");
    assert_eq!(store.find_setup("key").unwrap(), Some(layer.clone()));
    assert_eq!(store.find_setup("other").unwrap(), None);
    assert!(matches!(begin("key"), Setup::Kept(kept) if kept == layer));
    let name = layer.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(store.prune(&BTreeSet::from([name])).unwrap(), 0);
    assert_eq!(store.prune(&BTreeSet::new()).unwrap(), 5);
    bench.assert_empty();
}

#[test]
fn records_cut_short_by_a_power_loss_are_made_again() {
    for folder in ["records", "images"] {
        let bench = Bench::new();
        let made = import(&bench, "one", &[tar(&[file("a", "1")])]);
        let record = bench.root.join(folder).join(&names(&bench.root.join(folder))[0]);
        let text = fs::read_to_string(&record).unwrap();
        fs::write(&record, &text[..text.len() / 2]).unwrap();
        fs::write(made.layers[0].join("a"), "").unwrap();
        assert_eq!(bench.store().list().unwrap(), []);
        let again = import(&bench, "one", &[tar(&[file("a", "1")])]);
        assert_eq!(again, made);
        if folder == "records" {
            assert_eq!(fs::read_to_string(made.layers[0].join("a")).unwrap(), "1");
        }
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    assert!(is_root(), "this test mounts a tmpfs and so has to run as root");
    let mut bench = Bench::new();
    let small = bench.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", small.to_str().unwrap()]);
    bench.root = small.join("store");
    let folder = bench.folder.path().join("layout");
    write_layout(&image(&[noisy_tar("noise", 8 << 20), tar(&[file("a", "1")])]), &folder);
    let outcome = std::panic::catch_unwind(|| {
        let failure = bench.obtain(&ImageSource::OciFolder(folder.clone(), None)).unwrap_err();
        let said = failure.chain().join(": ");
        assert!(said.contains("no space left in"), "{said}");
        assert!(failure.get_hint().unwrap().contains("the layer has 9 MiB compressed"), "{failure:?}");
        bench.assert_empty();
    });
    run("umount", &[small.to_str().unwrap()]);
    outcome.unwrap();
}

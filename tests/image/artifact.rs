//! A file out of a registry, checked by its digest.

use crate::make::{Made, image_of_blobs, noise};
use crate::registry::Registry;
use crate::server::{Server, well_behaved};
use crate::support::Bench;
use devenv::image::artifact;
use devenv::model::{ImageReference, Settings};
use std::fs;

fn made() -> Made {
    let blob = noise(300_000);
    let digest = crate::make::digest(&blob);
    image_of_blobs(&[(blob, digest)])
}

fn fetch(bench: &Bench, reference: &str) -> Result<Vec<u8>, String> {
    let into = bench.folder.path().join("fetched");
    let reference = ImageReference::parse(reference).unwrap();
    let outcome = artifact::fetch(&reference, &Settings::default(), &*bench.heard, &into);
    let left: Vec<_> = crate::support::names(bench.folder.path());
    assert!(!left.iter().any(|name| name.ends_with(".part")), "{left:?}");
    outcome.map(|()| fs::read(&into).unwrap()).map_err(|failure| {
        assert!(!into.exists());
        failure.chain().join(": ")
    })
}

#[test]
fn an_artifact_of_a_real_registry_is_fetched_by_its_digest_only() {
    let bench = Bench::new();
    let layout = bench.folder.path().join("layout");
    let made = made();
    crate::make::write_layout(&made, &layout);
    let registry = Registry::start(bench.folder.path());
    registry.push(&layout, "guest:1", &["--preserve-digests"]);
    let name = format!("127.0.0.1:{}/guest", registry.port);
    assert!(fetch(&bench, &format!("{name}:1")).unwrap_err().contains("names no digest"));
    let fetched = fetch(&bench, &format!("{name}@{}", made.manifest_digest)).unwrap();
    assert_eq!(fetched, noise(300_000));
}

#[test]
fn a_cut_is_gone_on_from_and_damage_is_refused() {
    let bench = Bench::new();
    let good = made();
    let layer = good.layers[0].clone();
    let server = Server::start({
        let good = good.clone();
        move |asked| {
            let answer = well_behaved(&good, asked);
            if asked.path.contains(&good.layers[0]) && asked.from() == 0 { answer.cut(100_000) } else { answer }
        }
    });
    let reference = format!("{}/guest@{}", server.host(), good.manifest_digest);
    assert_eq!(fetch(&bench, &reference).unwrap(), noise(300_000));
    assert!(server.asked(&layer).iter().any(|asked| asked.from() > 0));

    let bench = Bench::new();
    let mut bad = good.clone();
    bad.blobs.get_mut(&layer).unwrap()[7] ^= 1;
    let server = Server::start(move |asked| well_behaved(&bad, asked));
    let reference = format!("{}/guest@{}", server.host(), good.manifest_digest);
    assert!(fetch(&bench, &reference).unwrap_err().contains("it should be"));
}

#[test]
fn an_image_of_two_layers_is_no_artifact() {
    let bench = Bench::new();
    let made = crate::make::image(&[crate::make::noisy_tar("a", 10), crate::make::noisy_tar("b", 10)]);
    let reference_digest = made.manifest_digest.clone();
    let server = Server::start(move |asked| well_behaved(&made, asked));
    let refused = fetch(&bench, &format!("{}/x@{reference_digest}", server.host())).unwrap_err();
    assert!(refused.contains("no artifact of one file"), "{refused}");
}

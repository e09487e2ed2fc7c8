//! Registries that are down, slow, wrong, or want to know who asks.

use crate::make::*;
use crate::server::*;
use crate::support::*;
use devenv::model::Kind;
use devenv::model::settings::RegistrySettings;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

fn big_image() -> Made {
    image(&[noisy_tar("noise", 3 << 20), tar(&[file("small", "x")])])
}

#[test]
fn a_layer_that_is_cut_goes_on_where_it_was() {
    for (ranges, times) in [(true, 4), (false, 1)] {
        let bench = Bench::new();
        let made = big_image();
        let (big, cuts) = (made.layers[0].clone(), AtomicU32::new(0));
        let server = Server::start(move |asked| {
            let mut asked = asked.clone();
            if !ranges {
                asked.headers.remove("range");
            }
            let answer = well_behaved(&made, &asked);
            match asked.path.contains(&big) {
                true if cuts.fetch_add(1, Ordering::Relaxed) < times => answer.cut(700_000),
                _ => answer,
            }
        });
        let image = bench.pull(&format!("{}/a", server.host())).unwrap();
        assert_eq!(fs::read(image.layers[0].join("noise")).unwrap(), noise(3 << 20));
        let asked: Vec<usize> = server.asked(&big_digest()).iter().map(Asked::from).collect();
        assert!(asked.len() == times as usize + 1 && asked[0] == 0 && asked[1] > 0, "{asked:?}");
    }
}

fn big_digest() -> String {
    big_image().layers[0].clone()
}

#[test]
fn a_connection_that_stalls_counts_as_cut() {
    let bench = Bench::new();
    let made = big_image();
    let first = AtomicU32::new(0);
    let server = Server::start(move |asked| {
        let mut answer = well_behaved(&made, asked);
        if asked.path.contains(&made.layers[0]) && first.fetch_add(1, Ordering::Relaxed) == 0 {
            (answer.cut_at, answer.hang) = (Some(100_000), true);
        }
        answer
    });
    bench.pull(&format!("{}/a", server.host())).unwrap();
    assert_eq!(server.asked(&big_digest()).len(), 2);
}

#[test]
fn a_registry_that_keeps_cutting_is_given_up_and_leaves_nothing_half() {
    let bench = Bench::new();
    let made = image(&[noisy_tar("noise", 1 << 20)]);
    let server =
        Server::start(move |asked| match asked.path.contains("/blobs/") && asked.path.contains(&made.layers[0]) {
            true => answer(500, "broken"),
            false => well_behaved(&made, asked),
        });
    let said = bench.refused(&registry_source(&format!("{}/a", server.host())));
    assert!(said.contains("cannot fetch layer") && said.contains("answered 500"), "{said}");
    assert_eq!(server.asked(&image(&[noisy_tar("noise", 1 << 20)]).layers[0]).len(), 3);
}

#[test]
fn errors_that_pass_are_waited_out() {
    let bench = Bench::new();
    let made = big_image();
    let count = AtomicU32::new(0);
    let server =
        Server::start(move |asked| match asked.path != "/v2/" && count.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            true => answer(503, ""),
            false => well_behaved(&made, asked),
        });
    // One request at a time: two layers would share the count.
    bench.pull(&format!("{}/a", server.host())).unwrap_err();
    let made = image(&[tar(&[file("small", "x")])]);
    let count = AtomicU32::new(0);
    let server =
        Server::start(move |asked| match asked.path != "/v2/" && count.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            true => answer(503, ""),
            false => well_behaved(&made, asked),
        });
    bench.pull(&format!("{}/a", server.host())).unwrap();
}

#[test]
fn wrong_content_is_refused() {
    let made = image(&[tar(&[file("a", "x")])]);
    let wrong_layer = {
        let (made, other) = (made.clone(), gzip(&tar(&[file("a", "y")])));
        Server::start(move |asked| match asked.path.contains(&made.layers[0]) {
            true => answer(200, other.clone()),
            false => well_behaved(&made, asked),
        })
    };
    let said = Bench::new().refused(&registry_source(&format!("{}/a", wrong_layer.host())));
    assert!(said.contains("should be sha256:"), "{said}");
    let garbage = {
        let made = made.clone();
        Server::start(move |asked| match asked.path.contains(&made.layers[0]) {
            true => answer(200, vec![b'x'; made.blobs[&made.layers[0]].len()]),
            false => well_behaved(&made, asked),
        })
    };
    let said = Bench::new().refused(&registry_source(&format!("{}/a", garbage.host())));
    assert!(said.contains("should be sha256:") || said.contains("damaged"), "{said}");
    let endless = {
        let made = made.clone();
        Server::start(move |asked| match asked.path.contains(&made.layers[0]) {
            true => answer(200, noise(5 << 20)),
            false => well_behaved(&made, asked),
        })
    };
    let said = Bench::new().refused(&registry_source(&format!("{}/a", endless.host())));
    assert!(said.contains("longer than") || said.contains("damaged") || said.contains("should be"), "{said}");
    let server = {
        let made = made.clone();
        Server::start(move |asked| {
            let asked = Asked { path: asked.path.replace("manifests/sha256:", "manifests/x"), ..asked.clone() };
            well_behaved(&made, &asked)
        })
    };
    let pinned = format!("{}/a@{}", server.host(), digest(b"another manifest"));
    let said = Bench::new().refused(&registry_source(&pinned));
    assert!(said.contains("should be sha256:"), "{said}");
}

#[test]
fn a_manifest_of_50_mb_is_not_read() {
    let server = Server::start(|asked| match asked.path.contains("/manifests/") {
        true => answer(200, vec![b' '; 50_000_000]),
        false => answer(200, ""),
    });
    let said = Bench::new().refused(&registry_source(&format!("{}/a", server.host())));
    assert!(said.contains("50000000 bytes or more where at most 4194304"), "{said}");
}

#[test]
fn what_does_not_exist_is_said_to_be_missing() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "{}"),
        _ => answer(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
    });
    let bench = Bench::new();
    let failure = bench.pull(&format!("{}/a:9", server.host())).unwrap_err();
    assert_eq!(failure.get_kind(), Kind::NotFound);
    assert_eq!(failure.to_string(), format!("the image {}/a:9 does not exist", server.host()));
    bench.assert_empty();
}

#[test]
fn a_registry_that_is_down_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = Bench::new().refused(&registry_source(&format!("127.0.0.1:{port}/a")));
    assert!(said.contains(&format!("no answer from the registry 127.0.0.1:{port}")), "{said}");
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn tokens_are_fetched_and_renewed() {
    let bench = Bench::new();
    let made = big_image();
    let tokens = Server::start({
        let count = AtomicU32::new(0);
        move |_| answer(200, format!(r#"{{"token":"t{}"}}"#, count.fetch_add(1, Ordering::Relaxed)))
    });
    let realm = format!("http://{}/token", tokens.host());
    let server = Server::start(move |asked| {
        // The first token is good for manifests only, as if it had expired after them.
        let good = match asked.header("authorization") {
            "Bearer t0" => asked.path.contains("/manifests/"),
            other => other.starts_with("Bearer t"),
        };
        if good || asked.path == "/v2/" {
            return well_behaved(&made, asked);
        }
        let challenge = format!(r#"Bearer realm="{realm}",service="here",scope="repository:a:pull""#);
        answer(401, "").header("www-authenticate", challenge)
    });
    bench.pull(&format!("{}/a", server.host())).unwrap();
    let asked = tokens.asked("/token");
    assert!(asked.len() >= 2);
    assert!(
        asked[0].path.contains("service=here") && asked[0].path.contains("scope=repository%3Aa%3Apull"),
        "{asked:?}"
    );
}

#[test]
fn a_token_is_not_sent_to_where_a_layer_is_redirected() {
    let bench = Bench::new();
    let made = image(&[tar(&[file("a", "x")])]);
    let storage = Server::start({
        let made = made.clone();
        move |asked| well_behaved(&made, asked)
    });
    let (realm, target) = (format!("http://{}/token", storage.host()), storage.host());
    let server = Server::start(move |asked| {
        if asked.header("authorization").is_empty() && asked.path != "/v2/" {
            return answer(401, "").header("www-authenticate", format!(r#"Bearer realm="{realm}""#));
        }
        match asked.path.contains("/blobs/") {
            true => answer(307, "").header("location", format!("http://{target}{}", asked.path)),
            false => well_behaved(&made, asked),
        }
    });
    // The token service and the storage are one server here: it says 404 for tokens, which must be an error.
    let said = bench.refused(&registry_source(&format!("{}/a", server.host())));
    assert!(said.contains("404"), "{said}");
    let made = image(&[tar(&[file("a", "x")])]);
    let storage = Server::start({
        let made = made.clone();
        move |asked| match asked.path.starts_with("/token") {
            true => answer(200, r#"{"access_token":"secret"}"#),
            false => well_behaved(&made, asked),
        }
    });
    let (realm, target) = (format!("http://{}/token", storage.host()), storage.host());
    let server = Server::start(move |asked| {
        if asked.header("authorization") != "Bearer secret" && asked.path != "/v2/" {
            return answer(401, "").header("www-authenticate", format!(r#"Bearer realm="{realm}""#));
        }
        match asked.path.contains("/blobs/") {
            true => answer(307, "").header("location", format!("http://{target}{}", asked.path)),
            false => well_behaved(&made, asked),
        }
    });
    bench.pull(&format!("{}/a", server.host())).unwrap();
    let redirected = storage.asked("/blobs/");
    assert_eq!(redirected.len(), 2);
    assert!(redirected.iter().all(|asked| asked.header("authorization").is_empty()), "{redirected:?}");
}

#[test]
fn mirrors_are_asked_in_order() {
    let mut bench = Bench::new();
    let made = image(&[tar(&[file("a", "x")])]);
    let empty = Server::start(|_| answer(404, ""));
    let full = Server::start(move |asked| well_behaved(&made, asked));
    let mirrors = vec![empty.host(), format!("http://{}/v2/hub", full.host())];
    bench.settings.registries.insert("docker.io".into(), RegistrySettings { mirrors, ..Default::default() });
    bench.pull("debian:bookworm").unwrap();
    assert_eq!(empty.asked("/manifests/")[0].path, "/v2/library/debian/manifests/bookworm");
    assert_eq!(full.asked("/manifests/")[0].path, "/v2/hub/library/debian/manifests/bookworm");
}

#[test]
fn an_index_leads_to_the_image_for_this_computer() {
    let bench = Bench::new();
    let made = image(&[tar(&[file("a", "x")])]);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [
        {"digest": digest(b"other"), "size": 5, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": made.manifest_digest, "size": made.manifest.len(), "platform": {"os": "linux", "architecture": "amd64"}},
    ]});
    let (index, expected) = (index.to_string(), made.manifest_digest.clone());
    let server = Server::start(move |asked| match asked.path.ends_with("/manifests/latest") {
        true => answer(200, index.clone()),
        false => well_behaved(&made, asked),
    });
    let image = bench.pull(&format!("{}/a", server.host())).unwrap();
    assert_eq!(image.digest, expected);
    assert_eq!(image.config.env, ["A=b"]);
}

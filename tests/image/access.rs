//! Who we are and whom we believe: certificates, credentials, proxies.

use crate::make::*;
use crate::processes::child;
use crate::registry::Registry;
use crate::server::*;
use crate::support::*;
use devenv::model::settings::RegistrySettings;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes `ca.pem`, and `leaf.pem` with `leaf.key` for 127.0.0.1.
fn make_certificates(folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca, ca_key, leaf, leaf_key, request) =
        (path("ca.pem"), path("ca.key"), path("leaf.pem"), path("leaf.key"), path("leaf.csr"));
    run(
        "openssl",
        &[&["req", "-x509", "-subj", "/CN=test authority", "-keyout", &ca_key, "-out", &ca][..], &key].concat(),
    );
    run("openssl", &[&["req", "-subj", "/CN=here", "-keyout", &leaf_key, "-out", &request][..], &key].concat());
    let extensions = path("extensions");
    fs::write(&extensions, "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let sign = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-out", &leaf];
    run("openssl", &[&sign[..], &["-extfile", &extensions]].concat());
}

#[test]
fn certificates_are_checked_unless_the_settings_say_otherwise() {
    let mut bench = Bench::new();
    let folder = bench.folder.path().to_owned();
    make_certificates(&folder);
    write_layout(&image(&[tar(&[file("a", "x")])]), &folder.join("layout"));
    let at = folder.display();
    let registry = Registry::start_with(&folder, &format!(", tls: {{certificate: {at}/leaf.pem, key: {at}/leaf.key}}"));
    registry.push(&folder.join("layout"), "a:1", &[]);
    let host = format!("127.0.0.1:{}", registry.port);
    let source = registry_source(&format!("{host}/a:1"));
    let said = bench.refused(&source);
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    let trusting = RegistrySettings { ca: Some(folder.join("ca.pem")), ..Default::default() };
    for settings in [trusting, RegistrySettings { insecure: true, ..Default::default() }] {
        let mut other = Bench::new();
        other.settings.registries.insert(host.clone(), settings);
        other.obtain(&source).unwrap();
    }
    bench.settings.ca_certificates = vec![folder.join("ca.pem")];
    bench.obtain(&source).unwrap();
    // SSL_CERT_FILE is read by the process as a whole.
    let other = Bench::new();
    let status = child(&other, &format!("{host}/a:1")).env("SSL_CERT_FILE", folder.join("ca.pem")).status().unwrap();
    assert!(status.success());
}

/// A registry that wants `Basic dXNlcjpwYXNz` (user:pass).
fn private_registry() -> Server {
    let made = image(&[tar(&[file("a", "x")])]);
    Server::start(move |asked| match asked.header("authorization") == "Basic dXNlcjpwYXNz" || asked.path == "/v2/" {
        true => well_behaved(&made, asked),
        false => answer(401, "").header("www-authenticate", "Basic realm=\"here\""),
    })
}

#[test]
fn credentials_come_from_files_and_helpers() {
    let server = private_registry();
    let reference = format!("{}/a", server.host());
    let said = Bench::new().refused(&registry_source(&reference));
    assert!(said.contains("wants a user and password"), "{said}");
    let home = tempfile::tempdir().unwrap();
    let helper = home.path().join("docker-credential-here");
    fs::write(
        &helper,
        "#!/bin/sh\nread server\necho \"{\\\"Username\\\":\\\"user\\\",\\\"Secret\\\":\\\"pass\\\"}\"\n",
    )
    .unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    let by_password = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwYXNz"}}}}}}"#, server.host());
    let by_helper = format!(r#"{{"credHelpers":{{"{}":"here"}}}}"#, server.host());
    let by_store = r#"{"credsStore":"here"}"#.to_owned();
    for (file, text) in [
        (".config/containers/auth.json", &by_password),
        (".docker/config.json", &by_password),
        (".docker/config.json", &by_helper),
        (".docker/config.json", &by_store),
    ] {
        let bench = Bench::new();
        let written = home.path().join(file);
        fs::create_dir_all(written.parent().unwrap()).unwrap();
        fs::write(&written, text).unwrap();
        let mut command = child(&bench, &reference);
        for unset in ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"] {
            command.env_remove(unset);
        }
        assert!(command.env("HOME", home.path()).env("PATH", &path).status().unwrap().success(), "{file}: {text}");
        fs::remove_file(&written).unwrap();
    }
    let bench = Bench::new();
    let named = home.path().join("named.json");
    fs::write(&named, &by_password).unwrap();
    assert!(child(&bench, &reference).env("REGISTRY_AUTH_FILE", &named).status().unwrap().success());
}

#[test]
fn a_helpers_identity_token_is_exchanged_for_one_of_the_registry() {
    let made = image(&[tar(&[file("a", "x")])]);
    let tokens = Server::start(|asked| match asked.header("content-type") {
        "application/x-www-form-urlencoded" => answer(200, r#"{"access_token":"exchanged"}"#),
        _ => answer(400, ""),
    });
    let realm = format!("http://{}/token", tokens.host());
    let server = Server::start(move |asked| match asked.header("authorization") {
        "Bearer exchanged" => well_behaved(&made, asked),
        _ => answer(401, "").header("www-authenticate", format!(r#"Bearer realm="{realm}",service="here""#)),
    });
    let home = tempfile::tempdir().unwrap();
    let helper = home.path().join("docker-credential-here");
    fs::write(&helper, "#!/bin/sh\nread server\necho '{\"Username\":\"<token>\",\"Secret\":\"lasting\"}'\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let named = home.path().join("named.json");
    fs::write(&named, r#"{"credsStore":"here"}"#).unwrap();
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    let bench = Bench::new();
    let mut command = child(&bench, &format!("{}/a", server.host()));
    assert!(command.env("REGISTRY_AUTH_FILE", &named).env("PATH", &path).status().unwrap().success());
    let form =
        "scope=repository%3Aa%3Apull&service=here&grant_type=refresh_token&client_id=devenv&refresh_token=lasting";
    let asked = tokens.asked("/token");
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|asked| asked.header("content-length") == form.len().to_string()), "{asked:?}");
}

#[test]
fn a_proxy_is_used_for_others_but_not_for_this_computer() {
    let made = image(&[tar(&[file("a", "x")])]);
    let registry = Server::start({
        let made = made.clone();
        move |asked| well_behaved(&made, asked)
    });
    let proxy = Server::start(move |asked| {
        let path = asked.path.replace("http://registry.example:5000", "");
        well_behaved(&made, &Asked { path, ..asked.clone() })
    });
    let mut bench = Bench::new();
    bench.settings.proxy.http = Some(format!("http://{}", proxy.host()));
    let mirrors = vec!["http://registry.example:5000".to_owned()];
    bench.settings.registries.insert("docker.io".into(), RegistrySettings { mirrors, ..Default::default() });
    bench.pull("debian").unwrap();
    assert!(!proxy.asked("http://registry.example:5000/v2/library/debian/blobs/").is_empty());
    let before = proxy.asked("").len();
    Bench { root: bench.root.with_extension("other"), ..bench }.pull(&format!("{}/a", registry.host())).unwrap();
    assert_eq!(proxy.asked("").len(), before);
}

//! Config files as people write them: what is understood, and what a wrong one gets.

use devenv::config::{Loaded, load, load_settings};
use devenv::model::{BoxName, Kind};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn environment(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "secret".to_owned())
}

fn load_in(folder: &Path, text: &str) -> Result<Loaded, String> {
    fs::write(folder.join("devenv.toml"), text).unwrap();
    load(folder, &environment).map_err(|failure| {
        assert_eq!(failure.get_kind(), Kind::Usage);
        format!("error: {failure}").replace(&folder.display().to_string(), "FOLDER")
    })
}

fn load_alone(text: &str) -> Result<Loaded, String> {
    load_in(tempfile::tempdir().unwrap().path(), text)
}

#[test]
fn ten_mistakes_are_told_at_once() {
    let text = r#"name = "shop"
imgae = "debian:bookworm"
mounts = [".:/src", "missing:/data", "/nowhere"]
ports = ["8000", "80808", "9000-9001:9000"]
workdir = 7
restart = "always"
depends_on = ["dbb"]

[env]
KEY = "${UNSET}"

[services.db]
image = "Postgres:16"
ip = "10.1.2.3"
resources = { memory = "lots", cpu = 2 }
"#;
    insta::assert_snapshot!(load_alone(text).unwrap_err());
}

#[test]
fn slips_of_syntax_are_told_with_their_place() {
    insta::assert_snapshot!(load_alone("image = \"host\nports = [1, 2\nname = x\n").unwrap_err());
}

#[test]
fn problems_across_boxes_are_told() {
    let text = r#"image = "host"
ports = ["8080:80"]
depends_on = ["web"]
volumes = ["data:/data"]
tmpfs = ["/data"]
[network]
subnet = "10.1.2.0/24"
[services.web]
image = "host"
ports = ["0.0.0.0:8080:80", "127.0.0.1:8080:81/udp"]
depends_on = ["db"]
ip = "10.1.2.1"
[services.db]
image = "host"
depends_on = ["web"]
ip = "10.1.3.9"
[services.cache]
image = "host"
ip = "10.1.2.9"
[services.cache2]
image = "host"
ip = "10.1.2.9"
cap_add = ["NET_ADMN"]
[services.dev]
image = "host"
"#;
    insta::assert_snapshot!(load_alone(text).unwrap_err());
}

#[test]
fn the_local_file_is_laid_over_key_by_key_and_blamed_for_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("devenv.local.toml");
    let text = "image = \"host\"\nports = [\"1\", \"2\"]\nenv = { A = \"a\", B = \"b\" }\n";
    fs::write(&local, "ports = [3]\n[env]\nB = \"local $$ ${TOKEN} ${NO:-default}\"\n").unwrap();
    let loaded = load_in(folder.path(), text).unwrap();
    let dev = loaded.project.get_box(&BoxName::dev()).unwrap();
    assert_eq!(dev.ports.iter().map(|port| port.box_port).collect::<Vec<_>>(), [3]);
    assert_eq!(dev.env.get("A").unwrap(), "a");
    assert_eq!(dev.env.get("B").unwrap(), "local $ secret default");
    assert_eq!(loaded.host_variables.iter().collect::<Vec<_>>(), ["NO", "TOKEN"]);
    let source = |key: &str| loaded.shown.iter().find(|shown| shown.key == key).unwrap().source.clone();
    assert_eq!(source("env.A"), "devenv.toml:3");
    assert_eq!(source("env.B"), "devenv.local.toml:3");
    assert_eq!(source("ports"), "devenv.local.toml:1");

    fs::write(&local, "\n\nports = [\"x\"]\nmuonts = []\n").unwrap();
    insta::assert_snapshot!(load_in(folder.path(), text).unwrap_err());
}

#[test]
fn a_whole_file_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("web")).unwrap();
    fs::write(folder.path().join("dev.env"), "FROM_FILE=1\nBOTH=file\n").unwrap();
    let text = r#"
name = "shop"
image = "debian:bookworm"
mounts = [".:/src", { source = "web", target = "/web", readonly = true, sync = "one-way", ignore = ["*.o"] }, { source = "web", target = "/copy", sync = "mirror" }]
volumes = ["cache:/cache"]
tmpfs = ["/scratch:64m"]
ports = [8000, "9000-9001:80-81/udp"]
env = { BOTH = "env", NUMBER = 5, SWITCH = true }
env_file = ["dev.env"]
command = "make watch"
hosts = { "api.test" = "10.0.0.9" }
timezone = "Europe/Berlin"
resources = { cpus = 1.5, memory = "2g", pids = 100 }
depends_on = ["db"]
restart = "no"
cap_add = ["cap_net_admin"]
security = ["seccomp=unconfined"]
[services.db]
image = "postgres:16"
entrypoint = ["/bin/db", "-v"]
ip = "10.9.8.7"
[network]
subnet = "10.9.8.0/24"
dns = ["1.1.1.1"]
[hooks]
created = ["make"]
"#;
    let loaded = load_in(folder.path(), text).unwrap();
    let real = fs::canonicalize(folder.path()).unwrap();
    let shown: Vec<String> = loaded
        .shown
        .iter()
        .map(|shown| format!("{} = {}  # {}", shown.key, shown.value.as_deref().unwrap_or("-"), shown.source))
        .collect();
    insta::assert_snapshot!(shown.join("\n").replace(&real.display().to_string(), "FOLDER"));
    let json = serde_json::to_string_pretty(&loaded.project.boxes[0]).unwrap();
    insta::assert_snapshot!(json.replace(&real.display().to_string(), "FOLDER"));
}

#[test]
fn user_settings_are_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert_eq!(load_settings(&path).unwrap(), devenv::model::Settings::default());
    fs::write(folder.path().join("ca.pem"), "").unwrap();
    let text = "place = \"here\"\n[registries.\"localhost:5000\"]\ninsecure = true\nca = \"ca.pem\"\n[proxy]\nhttps = \"http://p:1\"\n";
    fs::write(&path, text).unwrap();
    let settings = load_settings(&path).unwrap();
    assert!(settings.registries["localhost:5000"].insecure);
    assert_eq!(settings.registries["localhost:5000"].ca, Some(folder.path().join("ca.pem")));
    assert_eq!(settings.proxy.https.as_deref(), Some("http://p:1"));

    fs::write(&path, "plcae = \"here\"\n[registries.\"a b\"]\nmirror = []\n[vm]\ncpus = -1\n").unwrap();
    let report = format!("error: {}", load_settings(&path).unwrap_err());
    insta::assert_snapshot!(report.replace(&folder.path().display().to_string(), "FOLDER"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,300}") {
        let _ = load_alone(&text);
    }

    /// Words of the language in any order come further into the checks than random letters.
    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "image", "mounts", "ports", "env", "[services.db]", "[[mounts]]", "ip", "hosts", "depends_on", "resources", "=", "=", "=",
        "\n", "\n", "\n", "\"host\"", "[\"1-65535\"]", "[\"é:/x\"]", "{ a = \"${B\" }", "7", "-1", "1.5", "nan", "[1, [2]]", "true",
        "'''x\ny'''", "\"\\u0000\"", "\"10.1.2.3\"", "[network]", "subnet", "\"10.0.0.0/8\"", "1979-05-27", "é", "#", ".",
    ]), 0..40)) {
        let _ = load_alone(&words.join(" "));
    }
}

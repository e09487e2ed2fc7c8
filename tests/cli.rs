//! devenv at the keyboard, as far as no boxes are needed: the built program in a private home.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A home and a project folder of a test's own.
struct Desk {
    home: TempDir,
    folder: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk { home: tempfile::tempdir().unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn with(text: &str) -> Desk {
        let desk = Desk::new();
        desk.write("devenv.toml", text);
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devenv"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .env("DEVENV_HOME", self.home.path().join("state"))
            // A proxy counts as a registry that answers, so no test leaves this computer.
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Reply {
        Reply::of(self.command(words).output().unwrap(), self.folder.path())
    }
}

/// What came out, with the folder's path replaced.
struct Reply {
    code: i32,
    data: String,
    told: String,
}

impl Reply {
    fn of(output: Output, folder: &Path) -> Reply {
        let real = fs::canonicalize(folder).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(real.to_str().unwrap(), "FOLDER");
        Reply { code: output.status.code().unwrap(), data: text(output.stdout), told: text(output.stderr) }
    }
}

#[test]
fn help_is_worth_reading() {
    let desk = Desk::new();
    let reply = desk.run(&["--help"]);
    assert_eq!((reply.code, reply.told.as_str()), (0, ""));
    insta::assert_snapshot!(reply.data);
    let words = ["init", "up", "shell", "exec", "logs", "down", "image", "config", "completions"];
    let pages: Vec<String> = words
        .iter()
        .map(|word| {
            let page = desk.run(&[word, "--help"]).data;
            let (own, rest) = page.split_once("Everywhere:").unwrap();
            let after = rest.split_once("where a question would be needed").unwrap().1;
            format!("$ devenv {word} --help\n{own}[Everywhere]{after}")
        })
        .collect();
    insta::assert_snapshot!(pages.join("\n\n"));
    assert_eq!(desk.run(&["up", "-h"]).data, desk.run(&["up", "--help"]).data);
}

#[test]
fn wrong_command_lines_are_exit_code_2() {
    let desk = Desk::with("image = \"host\"\n");
    for words in [
        &[][..],
        &["upp"],
        &["up", "--wrong"],
        &["up", "Not A Name"],
        &["exec", "true"],
        &["exec", "-e", "NOVALUE", "--", "true"],
        &["init", "cobol"],
        &["-q", "-v", "status"],
        &["--color", "pink", "status"],
    ] {
        let reply = desk.run(words);
        assert_eq!((reply.code, reply.data.as_str()), (2, ""), "{words:?}: {}", reply.told);
        assert!(!reply.told.is_empty(), "{words:?}");
    }
    assert!(desk.run(&["upp"]).told.contains("'up'"));
}

#[test]
fn without_a_project_the_hint_is_init() {
    let desk = Desk::new();
    let reply = desk.run(&["config", "show"]);
    let expected = "error: no devenv.toml in FOLDER or any folder above it\n  hint: `devenv init` writes one; `-C DIR` looks in another folder\n";
    assert_eq!((reply.code, reply.told.as_str()), (1, expected));
    let missing = desk.run(&["-C", "nowhere", "config", "check"]);
    assert_eq!(missing.code, 1);
    assert!(missing.told.starts_with("error: cannot find nowhere\n  cause: "), "{}", missing.told);
    // A failure of devenv's own must not look like the command's.
    assert_eq!(desk.run(&["-C", "nowhere", "exec", "--", "true"]).code, 125);
}

#[test]
fn a_wrong_file_is_exit_code_2_and_a_report() {
    let desk = Desk::with("image = \"host\"\nmoutns = []\n");
    let reply = desk.run(&["config", "check"]);
    assert_eq!((reply.code, reply.data.as_str()), (2, ""));
    insta::assert_snapshot!(reply.told);
    let coloured = desk.run(&["--color", "always", "config", "check"]);
    assert!(coloured.told.contains("\u{1b}[31m"));
    assert_eq!(console::strip_ansi_codes(&coloured.told), reply.told);
}

#[test]
fn check_show_and_schema() {
    let desk = Desk::with(
        "image = \"debian:bookworm\"\nmounts = [\".:/src\"]\nports = [8000]\n[services.db]\nimage = \"postgres:17\"\n",
    );
    desk.write("devenv.local.toml", "[env]\nDEBUG = \"${HOME:-x}\"\n");
    let check = desk.run(&["config", "check"]);
    assert_eq!((check.code, check.data.as_str()), (0, ""));
    assert!(check.told.starts_with("FOLDER/devenv.toml is fine: "), "{}", check.told);
    assert!(check.told.ends_with(" with 2 boxes\n"), "{}", check.told);
    assert_eq!(desk.run(&["-q", "config", "check"]).told, "");

    let show = desk.run(&["config", "show"]);
    let name = fs::canonicalize(desk.folder.path()).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    insta::assert_snapshot!(show.data.replace(desk.home.path().to_str().unwrap(), "HOME").replace(&name, "NAME"));
    let value: toml::Table = toml::from_str(&show.data).unwrap();
    assert_eq!(value["ports"].as_array().unwrap().len(), 1);

    let json: serde_json::Value = serde_json::from_str(&desk.run(&["--json", "config", "show"]).data).unwrap();
    assert!(json.as_array().unwrap().iter().any(|shown| shown["key"] == "env.DEBUG"));
    let schema: serde_json::Value = serde_json::from_str(&desk.run(&["config", "schema"]).data).unwrap();
    assert!(schema["properties"]["mounts"]["description"].as_str().unwrap().contains("SOURCE:TARGET"));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_template_is_written_and_valid() {
    for template in ["minimal", "python", "node", "rust", "go", "ruby", "service"] {
        let desk = Desk::new();
        let reply = desk.run(&["init", template]);
        assert_eq!((reply.code, reply.data.as_str()), (0, ""), "{}", reply.told);
        let first = format!("wrote FOLDER/devenv.toml from the template `{template}`");
        assert_eq!(reply.told.lines().next().unwrap(), first);
        assert_eq!(desk.run(&["config", "check"]).code, 0);
        assert_eq!(desk.run(&["config", "show"]).code, 0);
    }
}

#[test]
fn init_guesses_and_never_overwrites() {
    for (file, template) in [
        ("Cargo.toml", "rust"),
        ("package.json", "node"),
        ("go.mod", "go"),
        ("Gemfile", "ruby"),
        ("pyproject.toml", "python"),
        ("x", "minimal"),
    ] {
        let desk = Desk::new();
        desk.write(file, "");
        let reply = desk.run(&["init"]);
        assert!(reply.told.contains(&format!("template `{template}`")), "{}", reply.told);
        let again = desk.run(&["init"]);
        assert_eq!(again.code, 1);
        assert!(again.told.starts_with("error: FOLDER/devenv.toml exists already\n  hint: "), "{}", again.told);
    }
    let desk = Desk::with("mine");
    assert_eq!(desk.run(&["init"]).code, 1);
    assert_eq!(fs::read_to_string(desk.folder.path().join("devenv.toml")).unwrap(), "mine");
}

#[test]
fn init_ignores_the_local_file_in_a_repository_only() {
    let ignored = |desk: &Desk| fs::read_to_string(desk.folder.path().join(".gitignore")).ok();
    let outside = Desk::new();
    assert!(!outside.run(&["init"]).told.contains(".gitignore"));
    assert_eq!(ignored(&outside), None);

    let inside = Desk::new();
    fs::create_dir(inside.folder.path().join(".git")).unwrap();
    inside.write(".gitignore", "target");
    assert!(inside.run(&["init"]).told.contains("FOLDER/.gitignore"));
    assert_eq!(ignored(&inside).unwrap(), "target\ndevenv.local.toml\n");
    fs::remove_file(inside.folder.path().join("devenv.toml")).unwrap();
    inside.run(&["init"]);
    assert_eq!(ignored(&inside).unwrap(), "target\ndevenv.local.toml\n");
}

#[test]
fn completions_know_commands_and_boxes() {
    let desk = Desk::with("image = \"host\"\n[services.db]\nimage = \"host\"\n[services.cache]\nimage = \"host\"\n");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let reply = desk.run(&["completions", shell]);
        assert_eq!(reply.code, 0);
        assert!(reply.data.contains("COMPLETE"), "{shell}: {}", reply.data);
    }
    let complete = |words: &[&str], index: &str| {
        let mut line = vec!["--", "devenv"];
        line.extend(words);
        let mut command = desk.command(&line);
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        let reply = Reply::of(command.output().unwrap(), desk.folder.path());
        reply.data.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["sta"], "1"), ["status", "start"]);
    let boxes = complete(&["stop", ""], "2");
    for name in ["dev", "db", "cache"] {
        assert!(boxes.iter().any(|word| word == name), "{boxes:?}");
    }
    desk.write("devenv.toml", "broken [");
    assert!(!complete(&["stop", ""], "2").contains(&"db".to_owned()));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child = desk.command(&["config", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

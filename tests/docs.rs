//! What the documents say is code too: links lead somewhere, commands and options exist, promised chapters are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Documents and the headings that the README and other documents promise of them.
const PROMISED: &[(&str, &[&str])] = &[
    ("README.md", &["Two minutes to a shell", "How it compares", "Limits", "Running the tests", "Licence"]),
    ("docs/quick-start.md", &["Install", "A first project", "A project with an image", "Every day"]),
    ("docs/how-to.md", &["Run a database beside the project", "Publish a port", "Use a private registry"]),
    ("docs/architecture.md", &["The rows", "One `up`"]),
    ("docs/internals.md", &["Files", "Processes", "Namespaces", "Mounts", "Cgroups"]),
    ("docs/security.md", &["What a box can see", "What is not promised", "Reporting a weakness"]),
    ("docs/troubleshooting.md", &["User namespaces are refused", "A port is taken"]),
    ("docs/vm.md", &["What is needed", "How it works", "Files", "Troubleshooting"]),
    ("docs/performance.md", &["How it is measured", "Figures"]),
    ("docs/remote.md", &["What is needed", "What is put there", "When it does not work"]),
    ("docs/limits.md", &["Kernel", "Images", "Network"]),
    ("docs/changelog.md", &["Unreleased"]),
    ("docs/licenses/MIT.txt", &[]),
    ("docs/licenses/Apache-2.0.txt", &[]),
];

#[test]
fn promised_documents_and_headings_are_there() {
    let mut wrong = Vec::new();
    for (file, headings) in PROMISED {
        let Ok(text) = fs::read_to_string(root().join(file)) else {
            wrong.push(format!("{file} is missing"));
            continue;
        };
        let there: BTreeSet<&str> = headings_of(&text).collect();
        for heading in headings.iter().filter(|heading| !there.contains(**heading)) {
            wrong.push(format!("{file}: no heading `{heading}`"));
        }
    }
    assert_none(wrong);
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for (file, text) in documents() {
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let aim = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            if !aim.exists() {
                wrong.push(format!("{}: {target} leads nowhere", name(&file)));
            } else if !anchor.is_empty() {
                let there = fs::read_to_string(&aim).unwrap_or_default();
                if !headings_of(&there).any(|heading| anchor_of(heading) == anchor) {
                    wrong.push(format!("{}: {target} names no heading", name(&file)));
                }
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn commands_and_options_exist() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, text) in documents() {
        for line in command_lines(&text) {
            if !seen.insert(line.clone()) {
                continue;
            }
            if let Err(problem) = check_command(&line) {
                wrong.push(format!("{}: `{line}`: {problem}", name(&file)));
            }
        }
    }
    assert!(!seen.is_empty(), "the documents name commands");
    assert_none(wrong);
}

/// Walks the words of a command line down the tree of `--help` texts, and looks for each option in the last one.
fn check_command(line: &str) -> Result<(), String> {
    let mut path: Vec<&str> = Vec::new();
    let mut help = help_of(&path)?;
    let mut options = Vec::new();
    let mut descending = true;
    let mut words = line.split_whitespace().skip(1);
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if word.starts_with('-') {
            let option = word.split('=').next().unwrap_or(word);
            options.push(option);
            // The value of a global option that stands before the command is not the command.
            if path.is_empty() && ["-C", "--place", "--color"].contains(&word) {
                words.next();
            }
            continue;
        }
        let word = word.trim_matches(|c| "[]".contains(c));
        let is_name = word.starts_with(|c: char| c.is_ascii_lowercase());
        if !descending || !is_name {
            descending = false;
            continue;
        }
        let below = subcommands(&help);
        if below.is_empty() {
            descending = false;
        } else if below.contains(&word.to_owned()) || is_hidden_command(&path, word) {
            path.push(word);
            help = help_of(&path)?;
        } else {
            return Err(format!("there is no command `{}`", [path, vec![word]].concat().join(" ")));
        }
    }
    let unknown = options
        .into_iter()
        .find(|option| !help.split(|c: char| c.is_whitespace() || ",[]=<".contains(c)).any(|word| word == *option));
    unknown.map_or(Ok(()), |option| Err(format!("`devenv {} --help` has no {option}", path.join(" "))))
}

/// A command that `--help` does not list answers for itself.
fn is_hidden_command(path: &[&str], word: &str) -> bool {
    help_of(&[path, &[word]].concat()).is_ok()
}

fn help_of(path: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_devenv"))
        .args(path)
        .arg("--help")
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`devenv {} --help` fails", path.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The names in the `Commands:` part of a help text.
fn subcommands(help: &str) -> Vec<String> {
    let part = help.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    part.take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("     "))
        .filter_map(|line| line.split_whitespace().next())
        .map(|word| word.trim_end_matches(',').to_owned())
        .collect()
}

#[test]
fn inline_code_stays_on_one_line() {
    let mut wrong = Vec::new();
    for (file, text) in documents() {
        let mut fence = false;
        for (number, line) in (1..).zip(text.lines()) {
            let mark = line.trim_start().starts_with("```");
            fence ^= mark;
            if !fence && !mark && line.matches('`').count() % 2 == 1 {
                wrong.push(format!("{}:{number}: a code span is broken across lines", name(&file)));
            }
        }
    }
    assert_none(wrong);
}

/// Commands in fenced blocks (`devenv …` or `$ devenv …`, also behind `&&`) and in inline code.
fn command_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        } else if fence {
            let code = line.split(" #").next().unwrap_or(line);
            found.extend(code.split(['|', ';']).flat_map(|part| part.split("&&")).filter_map(as_command));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).filter_map(as_command));
        }
    }
    found
}

fn as_command(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("$ ").trim_end_matches('…').trim();
    text.starts_with("devenv ").then(|| text.to_owned())
}

/// Targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        }
        if fence {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for part in prose.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push(target.to_owned());
            }
        }
    }
    found
}

fn headings_of(text: &str) -> impl Iterator<Item = &str> {
    let mut fence = false;
    text.lines().filter_map(move |line| {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        }
        if fence {
            return None;
        }
        let heading = line.strip_prefix('#')?.trim_start_matches('#');
        heading.strip_prefix(' ').map(str::trim)
    })
}

/// The anchor that forges make of a heading: lower case, spaces to hyphens, punctuation dropped.
fn anchor_of(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// README.md and everything in docs that is Markdown.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = vec![root().join("README.md")];
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(&file).unwrap())).collect()
}

fn name(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn documents_are_read_as_people_do() {
    let text = "# A `b` c!\n```sh\n$ devenv up && devenv shell -- ls # comment\n# no heading\n```\nsee `devenv image pull` [x](y.md#z)\n";
    assert_eq!(headings_of(text).collect::<Vec<_>>(), ["A `b` c!"]);
    assert_eq!(anchor_of("A `b` c!"), "a-b-c");
    assert_eq!(command_lines(text), ["devenv up", "devenv shell -- ls", "devenv image pull"]);
    assert_eq!(links(text), ["y.md#z"]);
    assert_eq!(
        subcommands("Usage: x\n\nCommands:\n  up     Makes\n         more\n  shell  In\n\nOptions:\n"),
        ["up", "shell"]
    );
}

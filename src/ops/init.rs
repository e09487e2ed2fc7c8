//! `devenv init`: a first `devenv.toml`, by what the folder holds.

mod registry;

pub use registry::registry_answers;

use super::Context;
use crate::config::{FILE_NAME, LOCAL_FILE_NAME};
use crate::model::{Failure, Result, Trying};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file of `templates/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    Minimal,
    Python,
    Node,
    Rust,
    Go,
    Ruby,
    Service,
}

impl Template {
    pub const ALL: [Template; 7] = [
        Template::Minimal,
        Template::Python,
        Template::Node,
        Template::Rust,
        Template::Go,
        Template::Ruby,
        Template::Service,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Template::Minimal => "minimal",
            Template::Python => "python",
            Template::Node => "node",
            Template::Rust => "rust",
            Template::Go => "go",
            Template::Ruby => "ruby",
            Template::Service => "service",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Template::Minimal => include_str!("../../templates/minimal.toml"),
            Template::Python => include_str!("../../templates/python.toml"),
            Template::Node => include_str!("../../templates/node.toml"),
            Template::Rust => include_str!("../../templates/rust.toml"),
            Template::Go => include_str!("../../templates/go.toml"),
            Template::Ruby => include_str!("../../templates/ruby.toml"),
            Template::Service => include_str!("../../templates/service.toml"),
        }
    }

    /// The file to write. Without a registry `dev` takes this computer's own root file system, and the line says what the
    /// template has; a service keeps its image, since nothing here could stand in for it.
    pub fn content(self, registry_answers: bool) -> String {
        if registry_answers {
            return self.text().to_owned();
        }
        let mut lines: Vec<String> = self.text().lines().map(str::to_owned).collect();
        if let Some(line) = lines.iter_mut().find(|line| line.starts_with("image ")) {
            let reference = line.split('"').nth(1).unwrap_or_default().to_owned();
            let (key, _) = line.split_once('=').unwrap_or((line, ""));
            *line = format!("{key}= \"host\"  # this computer itself: no registry answered. With one: \"{reference}\"");
        }
        lines.join("\n") + "\n"
    }
}

/// Files that tell what a project is made of; the first that is there decides.
const SIGNS: [(&str, Template); 12] = [
    ("Cargo.toml", Template::Rust),
    ("go.mod", Template::Go),
    ("Gemfile", Template::Ruby),
    ("pyproject.toml", Template::Python),
    ("requirements.txt", Template::Python),
    ("setup.py", Template::Python),
    ("Pipfile", Template::Python),
    ("manage.py", Template::Python),
    ("package.json", Template::Node),
    ("deno.json", Template::Node),
    ("docker-compose.yml", Template::Service),
    ("compose.yaml", Template::Service),
];

/// The template that fits a folder with files of these names, and the file that says so.
pub fn guess(names: &[String]) -> (Template, Option<&'static str>) {
    let sign = SIGNS.iter().find(|(sign, _)| names.iter().any(|name| name == sign));
    sign.map_or((Template::Minimal, None), |(sign, template)| (*template, Some(*sign)))
}

/// What `init` did.
#[derive(Debug, PartialEq)]
pub struct InitReply {
    pub path: PathBuf,
    pub template: Template,
    /// The file the guess came from.
    pub because: Option<&'static str>,
    /// No registry answered, so the image is this computer.
    pub host_image: bool,
    /// The `.gitignore` that names `devenv.local.toml` from now on; `None`: nothing had to be done.
    pub ignored_in: Option<PathBuf>,
}

/// Writes `devenv.toml` into the caller's folder, never over an existing one. `answers` says whether a registry can be
/// reached; it is asked only when a file will be written.
///
/// # Errors
/// There is one already, or the folder cannot be written.
pub fn init(context: &Context, template: Option<Template>, answers: &dyn Fn() -> bool) -> Result<InitReply> {
    let path = context.folder.join(FILE_NAME);
    if path.symlink_metadata().is_ok() {
        let hint = "edit it, or remove it first; `devenv config check` tells what is wrong in it";
        return Err(Failure::new(format!("{} exists already", path.display())).hint(hint));
    }
    let (template, because) = match template {
        Some(template) => (template, None),
        None => guess(&names_in(&context.folder)?),
    };
    let host_image = !answers();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .trying(|| format!("cannot make {}", path.display()))?;
    let content = template.content(!host_image);
    file.write_all(content.as_bytes()).trying(|| format!("cannot write {}", path.display()))?;
    let ignored_in = ignore_local_file(&context.folder)?;
    Ok(InitReply { path, template, because, host_image, ignored_in })
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).trying(|| format!("cannot read the folder {}", folder.display()))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Adds `devenv.local.toml` to the folder's `.gitignore` if the folder is in a git repository and does not ignore it yet.
fn ignore_local_file(folder: &Path) -> Result<Option<PathBuf>> {
    let in_repository = folder.ancestors().any(|above| above.join(".git").exists());
    let path = folder.join(".gitignore");
    let written = crate::sys::fs::read_if_exists(&path)?.unwrap_or_default();
    let is_there = written.lines().any(|line| line.trim().trim_start_matches('/') == LOCAL_FILE_NAME);
    if !in_repository || is_there {
        return Ok(None);
    }
    let line_end = if written.is_empty() || written.ends_with('\n') { "" } else { "\n" };
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .trying(|| format!("cannot open {}", path.display()))?;
    file.write_all(format!("{line_end}{LOCAL_FILE_NAME}\n").as_bytes())
        .trying(|| format!("cannot write {}", path.display()))?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_file_decides() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (files, template, because) in [
            (vec!["README.md"], Template::Minimal, None),
            (vec!["package.json", "Gemfile"], Template::Ruby, Some("Gemfile")),
            (vec!["compose.yaml"], Template::Service, Some("compose.yaml")),
            (vec!["package.json", "requirements.txt"], Template::Python, Some("requirements.txt")),
        ] {
            assert_eq!(guess(&names(&files)), (template, because), "{files:?}");
        }
    }

    #[test]
    fn every_template_is_valid_with_and_without_a_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        for template in Template::ALL {
            for registry_answers in [true, false] {
                let content = template.content(registry_answers);
                std::fs::write(folder.path().join(FILE_NAME), &content).expect("written");
                let loaded =
                    crate::config::load(folder.path(), &|_| None).unwrap_or_else(|_| panic!("{}", template.name()));
                let is_host = loaded.project.boxes[0].image == crate::model::ImageSource::Host;
                assert_eq!(is_host, !registry_answers, "{content}");
            }
        }
    }
}

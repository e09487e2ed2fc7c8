//! From the files of a folder to a `model::Project`.

use super::boxes::Resolving;
use super::check::check_shape;
use super::depends::{Wanted, resolve_depends};
use super::env::HostEnvironment;
use super::file::{BoxKeys, ProjectKeys};
use super::find::{FILE_NAME, LOCAL_FILE_NAME};
use super::network::{check_addresses, resolve_network};
use super::overlay::{Tree, key_places, read};
use super::place::{Placed, Sources};
use super::ports::check_clashes;
use super::problem::{Problem, Problems};
use super::schema::project_schema;
use super::show::{Shown, show};
use crate::model::{BoxName, BoxWanted, Project, ProjectId, Result};
use crate::sys;
use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A project that was read, and where everything in it came from.
#[derive(Debug)]
pub struct Loaded {
    pub project: Project,
    /// For `config show`: each effective key, its value, its source.
    pub shown: Vec<Shown>,
    /// Variables of the host's environment that the file asks for.
    pub host_variables: BTreeSet<String>,
}

/// Reads the project in `folder` (absolute). `environment` answers for the variables of the host.
///
/// # Errors
/// A file cannot be read; or something in one is wrong: then the failure's text is a report of all that is.
pub fn load(folder: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded> {
    let mut texts = Vec::new();
    for name in [FILE_NAME, LOCAL_FILE_NAME] {
        let path = folder.join(name);
        match sys::fs::read_if_exists(&path)? {
            Some(text) => texts.push((name.to_owned(), text)),
            None if name == FILE_NAME => return Err(sys::fs::missing(&path)),
            None => {}
        }
    }
    load_texts(folder, &texts, environment)
}

/// The project that `texts` (file name and content, the lowest first) describe.
pub fn load_texts(
    folder: &Path,
    texts: &[(String, String)],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded> {
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let Some(mut tree) = read(texts, &mut sources, &mut problems) else {
        return Err(problems.into_failure(&sources));
    };
    let places = key_places(&tree);
    check_shape(&mut tree, &project_schema(), &mut problems);
    let project_keys: ProjectKeys = typed(&tree, &mut problems);
    let dev_keys: BoxKeys = typed(&tree, &mut problems);

    let mut resolving = Resolving {
        folder,
        host: HostEnvironment::new(environment),
        places,
        problems,
        ports: Vec::new(),
        addresses: Vec::new(),
        env_sources: BTreeMap::new(),
    };
    let boxes = resolve_boxes(&project_keys, &dev_keys, &mut resolving);
    let network = resolve_network(&project_keys.network, &mut resolving.problems);
    let subnet_written = resolving.places.get(["network".to_owned(), "subnet".to_owned()].as_slice()).cloned();
    check_addresses(&resolving.addresses, &network, subnet_written, boxes.len(), &mut resolving.problems);
    check_clashes(&resolving.ports, &mut resolving.problems);
    let name = resolve_name(folder, project_keys.name.as_ref(), &mut resolving.problems);
    if !resolving.problems.is_empty() {
        return Err(resolving.problems.into_failure(&sources));
    }
    let project = Project {
        id: ProjectId::of_folder(folder),
        name,
        folder: folder.to_owned(),
        boxes,
        network,
        created_hooks: project_keys.hooks.created,
        started_hooks: project_keys.hooks.started,
    };
    let shown = show(&project, &resolving, &sources);
    Ok(Loaded { project, shown, host_variables: resolving.host.asked })
}

/// A checked tree as a type of `file` or `user`.
pub fn typed<T: DeserializeOwned + Default>(tree: &Tree<'_>, problems: &mut Problems) -> T {
    let whole = Spanned::new(0..0, tree.clone());
    T::deserialize(toml::Deserializer::from(whole)).unwrap_or_else(|error| {
        let what = error.message().to_owned();
        problems.add(match error.span() {
            Some(span) => Problem::at(span, what),
            None => Problem::of_file(what),
        });
        T::default()
    })
}

fn resolve_boxes(project: &ProjectKeys, dev: &BoxKeys, resolving: &mut Resolving<'_>) -> Vec<BoxWanted> {
    let mut boxes = vec![resolving.resolve_box(&BoxName::dev(), dev)];
    let mut wanted: Wanted<'_> = BTreeMap::from([(BoxName::dev(), dev.depends_on.as_slice())]);
    for (written, keys) in &project.services {
        match BoxName::new(written.value().as_str()) {
            Ok(name) if name.is_dev() => resolving.problems.add(
                Problem::at(written.span(), "`dev` is not a service")
                    .help("its keys stand at the top level of the file"),
            ),
            Ok(name) => {
                boxes.push(resolving.resolve_box(&name, keys));
                wanted.insert(name, &keys.depends_on);
            }
            Err(why) => {
                let what = format!("\"{}\" cannot name a service: {why}", written.value());
                resolving.problems.add(Problem::at(written.span(), what));
            }
        }
    }
    let mut depends = resolve_depends(&wanted, &mut resolving.problems);
    for wanted in &mut boxes {
        wanted.depends_on = depends.remove(&wanted.name).unwrap_or_default();
    }
    boxes
}

/// Longest name of a project, in characters: it stands in tables.
const NAME_LENGTH: usize = 63;

fn resolve_name(folder: &Path, written: Option<&Placed<String>>, problems: &mut Problems) -> String {
    let Some(written) = written else {
        return folder.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
    };
    let name = written.value();
    if name.trim().is_empty() || name.chars().count() > NAME_LENGTH || name.chars().any(char::is_control) {
        let what = format!("a project's name has 1 to {NAME_LENGTH} printable characters");
        problems.add(Problem::at(written.span(), what));
    }
    name.clone()
}

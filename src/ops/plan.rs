//! Wanted minus actual gives steps (pure).

use crate::model::{BoxName, BoxWanted, Failure, Kind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What there is of a box now.
#[derive(Debug, Clone, PartialEq)]
pub struct Actual {
    /// The box as it was wanted when it was made or last started.
    pub wanted: BoxWanted,
    /// Digest of the image it was made from.
    pub digest: Option<String>,
    pub running: bool,
}

/// One step towards what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Stop a running box; its layer stays.
    Stop { name: BoxName, reason: String },
    /// Remove a stopped box with its layer.
    Remove { name: BoxName, reason: String },
    /// Make a box anew.
    Create { name: BoxName },
    /// Start a box that is there.
    Start { name: BoxName },
    /// Publish other ports, or tell other names, without touching a box.
    Adjust { name: BoxName, reason: String },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Stop { name, reason } => write!(f, "stop {name} ({reason})"),
            Step::Remove { name, reason } => write!(f, "remove {name} ({reason})"),
            Step::Create { name } => write!(f, "create {name}"),
            Step::Start { name } => write!(f, "start {name}"),
            Step::Adjust { name, reason } => write!(f, "adjust {name} ({reason})"),
        }
    }
}

/// The steps that lead from `actual` to `wanted`, in the order in which they are to be taken: what has to go, in
/// reverse order of dependence, then what has to come. `current_digest` is the digest of an image as the store has it
/// now. Boxes outside `only` (when it is not empty) and of what they depend on are left alone.
pub fn plan(
    wanted: &[BoxWanted],
    actual: &BTreeMap<BoxName, Actual>,
    current_digest: &dyn Fn(&BoxWanted) -> Option<String>,
    only: &[BoxName],
) -> Result<Vec<Step>> {
    let chosen = choose(wanted, only)?;
    let order: Vec<&BoxWanted> = in_order(wanted).into_iter().filter(|b| chosen.contains(&b.name)).collect();
    let mut stops = Vec::new();
    let mut removals = Vec::new();
    let mut coming = Vec::new();
    for wanted in order {
        let name = &wanted.name;
        let Some(now) = actual.get(name) else {
            coming.push(Step::Create { name: name.clone() });
            coming.push(Step::Start { name: name.clone() });
            continue;
        };
        let remake = remake_reason(wanted, now, current_digest);
        let restart = restart_reason(wanted, &now.wanted);
        if let Some(reason) = remake {
            if now.running {
                stops.push(Step::Stop { name: name.clone(), reason: reason.clone() });
            }
            removals.push(Step::Remove { name: name.clone(), reason });
            coming.push(Step::Create { name: name.clone() });
            coming.push(Step::Start { name: name.clone() });
        } else if !now.running {
            coming.push(Step::Start { name: name.clone() });
        } else if let Some(reason) = restart {
            stops.push(Step::Stop { name: name.clone(), reason });
            coming.push(Step::Start { name: name.clone() });
        } else if let Some(reason) = adjust_reason(wanted, &now.wanted) {
            coming.push(Step::Adjust { name: name.clone(), reason });
        }
    }
    stops.reverse();
    let mut steps = Vec::new();
    if only.is_empty() {
        for (name, now) in actual.iter().filter(|(name, _)| !wanted.iter().any(|b| b.name == **name)) {
            let reason = "not in the file any more".to_owned();
            if now.running {
                steps.push(Step::Stop { name: name.clone(), reason: reason.clone() });
            }
            steps.push(Step::Remove { name: name.clone(), reason });
        }
    }
    steps.extend(stops);
    steps.extend(removals);
    steps.extend(coming);
    Ok(steps)
}

/// `only` and everything it depends on; all when it is empty.
fn choose(wanted: &[BoxWanted], only: &[BoxName]) -> Result<BTreeSet<BoxName>> {
    if only.is_empty() {
        return Ok(wanted.iter().map(|b| b.name.clone()).collect());
    }
    let mut chosen = BTreeSet::new();
    let mut open: Vec<BoxName> = only.to_vec();
    while let Some(name) = open.pop() {
        let Some(found) = wanted.iter().find(|b| b.name == name) else {
            return Err(unknown_box(&name, wanted.iter().map(|b| &b.name)));
        };
        if chosen.insert(name) {
            open.extend(found.depends_on.iter().cloned());
        }
    }
    Ok(chosen)
}

/// The failure for a box that is not there, naming those that are.
pub fn unknown_box<'a>(name: &BoxName, known: impl Iterator<Item = &'a BoxName>) -> Failure {
    let known: Vec<&str> = known.map(BoxName::as_str).collect();
    Failure::new(format!("there is no box '{name}' in this project"))
        .kind(Kind::Usage)
        .hint(format!("there are: {}", known.join(", ")))
}

/// Boxes so that each comes after those it depends on; otherwise services first, by name, and `dev` last.
pub fn in_order(wanted: &[BoxWanted]) -> Vec<&BoxWanted> {
    let mut left: Vec<&BoxWanted> = wanted.iter().collect();
    left.sort_by_key(|b| (b.name.is_dev(), b.name.clone()));
    let mut order: Vec<&BoxWanted> = Vec::new();
    while !left.is_empty() {
        let ready = |b: &&BoxWanted| b.depends_on.iter().all(|name| !left.iter().any(|other| other.name == *name));
        // A cycle was refused when the file was read; should one be here all the same, any order will do.
        let at = left.iter().position(ready).unwrap_or(0);
        order.push(left.remove(at));
    }
    order
}

/// Why a box has to be made anew: only the image and its set-up are in its layer.
fn remake_reason(wanted: &BoxWanted, now: &Actual, current: &dyn Fn(&BoxWanted) -> Option<String>) -> Option<String> {
    if wanted.image != now.wanted.image {
        return Some("its image is another".into());
    }
    if wanted.setup != now.wanted.setup {
        return Some("its setup changed".into());
    }
    // An image that is not in the store any more says nothing about the box made from it.
    (current(wanted)? != now.digest.clone()?).then(|| "its image has a new version".into())
}

/// Why a box has to be started again: the keys that changed and that its processes are born with.
fn restart_reason(wanted: &BoxWanted, now: &BoxWanted) -> Option<String> {
    let changed: Vec<&str> = [
        ("mounts", wanted.mounts != now.mounts),
        ("volumes", wanted.volumes != now.volumes),
        ("tmpfs", wanted.tmpfs != now.tmpfs),
        ("env", wanted.env != now.env),
        ("command", wanted.command != now.command),
        ("entrypoint", wanted.entrypoint != now.entrypoint),
        ("user", wanted.user != now.user),
        ("workdir", wanted.workdir != now.workdir),
        ("hostname", wanted.hostname != now.hostname),
        ("ip", wanted.ip.is_some() && wanted.ip != now.ip),
        ("timezone", wanted.timezone != now.timezone),
        ("resources", wanted.limits != now.limits),
        ("security", wanted.security != now.security),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect();
    (!changed.is_empty()).then(|| format!("{} changed", changed.join(", ")))
}

/// What can change while the box runs.
fn adjust_reason(wanted: &BoxWanted, now: &BoxWanted) -> Option<String> {
    let changed: Vec<&str> = [
        ("ports", wanted.ports != now.ports),
        ("hosts", wanted.hosts != now.hosts),
        ("shell", wanted.shell != now.shell),
        ("depends_on", wanted.depends_on != now.depends_on),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect();
    (!changed.is_empty()).then(|| format!("{} changed", changed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ImageSource;

    fn named(name: &str, depends_on: &[&str]) -> BoxWanted {
        let name = BoxName::new(name).unwrap();
        BoxWanted {
            hostname: name.as_str().into(),
            name,
            image: ImageSource::Host,
            setup: vec![],
            mounts: vec![],
            volumes: vec![],
            tmpfs: vec![],
            ports: vec![],
            env: BTreeMap::new(),
            command: None,
            entrypoint: None,
            user: None,
            workdir: None,
            shell: None,
            hosts: BTreeMap::new(),
            ip: None,
            timezone: None,
            limits: Default::default(),
            depends_on: depends_on.iter().map(|n| BoxName::new(*n).unwrap()).collect(),
            security: Default::default(),
        }
    }

    fn steps(wanted: &[BoxWanted], actual: &[(&BoxWanted, bool)], only: &[&str]) -> Vec<String> {
        let actual = actual
            .iter()
            .map(|(b, running)| {
                (b.name.clone(), Actual { wanted: (*b).clone(), digest: Some("d".into()), running: *running })
            })
            .collect();
        let only: Vec<BoxName> = only.iter().map(|n| BoxName::new(*n).unwrap()).collect();
        let plan = plan(wanted, &actual, &|_| Some("d".into()), &only).unwrap();
        plan.iter().map(Step::to_string).collect()
    }

    #[test]
    fn nothing_there_is_created_and_started_in_order_of_dependence() {
        let boxes = [named("dev", &["db"]), named("app", &["dev"]), named("db", &[])];
        let wanted = ["create db", "start db", "create dev", "start dev", "create app", "start app"];
        assert_eq!(steps(&boxes, &[], &[]), wanted);
    }

    #[test]
    fn what_is_as_wanted_needs_no_step() {
        let dev = named("dev", &[]);
        assert!(steps(std::slice::from_ref(&dev), &[(&dev, true)], &[]).is_empty());
        assert_eq!(steps(std::slice::from_ref(&dev), &[(&dev, false)], &[]), ["start dev"]);
    }

    #[test]
    fn a_changed_key_redoes_only_what_depends_on_it() {
        let (dev, db) = (named("dev", &["db"]), named("db", &[]));
        let actual = [(&dev, true), (&db, true)];
        let mut other = db.clone();
        other.env.insert("A".into(), "1".into());
        assert_eq!(steps(&[dev.clone(), other], &actual, &[]), ["stop db (env changed)", "start db"]);
        let mut other = dev.clone();
        other.hosts.insert("x".into(), "1.2.3.4".parse().unwrap());
        assert_eq!(steps(&[other, db.clone()], &actual, &[]), ["adjust dev (hosts changed)"]);
        let mut other = dev.clone();
        other.setup.push("true".into());
        assert_eq!(
            steps(&[other, db.clone()], &actual, &[]),
            ["stop dev (its setup changed)", "remove dev (its setup changed)", "create dev", "start dev"]
        );
    }

    #[test]
    fn boxes_gone_from_the_file_go_and_unnamed_ones_stay_when_some_are_named() {
        let (dev, db, old) = (named("dev", &[]), named("db", &[]), named("old", &[]));
        let boxes = [dev.clone(), db];
        assert_eq!(
            steps(&boxes, &[(&dev, true), (&old, true)], &[]),
            ["stop old (not in the file any more)", "remove old (not in the file any more)", "create db", "start db"]
        );
        assert_eq!(steps(&boxes, &[(&dev, false), (&old, true)], &["db"]), ["create db", "start db"]);
        let dependent = [named("dev", &["db"]), named("db", &[]), named("else", &[])];
        assert_eq!(steps(&dependent, &[], &["dev"]), ["create db", "start db", "create dev", "start dev"]);
    }

    #[test]
    fn a_new_version_of_the_image_remakes_and_a_missing_one_does_not() {
        let dev = named("dev", &[]);
        let actual = [(dev.name.clone(), Actual { wanted: dev.clone(), digest: Some("old".into()), running: false })];
        let actual = BTreeMap::from(actual);
        let boxes = [dev];
        assert_eq!(plan(&boxes, &actual, &|_| Some("new".into()), &[]).unwrap().len(), 3);
        assert_eq!(plan(&boxes, &actual, &|_| None, &[]).unwrap().len(), 1);
    }

    #[test]
    fn unknown_boxes_are_named_with_those_there_are() {
        let only = [BoxName::new("web").unwrap()];
        let failure = plan(&[named("dev", &[])], &BTreeMap::new(), &|_| None, &only).unwrap_err();
        assert_eq!(failure.get_hint(), Some("there are: dev"));
    }
}

//! The keys of one box, resolved.

use super::env::{HostEnvironment, interpolate, parse_env_file};
use super::file::{BoxKeys, CommandEntry, EnvValue, PortEntry, ResourcesTable, RestartWord};
use super::images::resolve_image;
use super::network::{FixedAddress, resolve_address, resolve_ip};
use super::paths::{Wrong, box_path, host_path, resolve_mount, resolve_tmpfs, resolve_volume};
use super::place::{Placed, Span};
use super::ports::{AskedPort, parse_ports};
use super::problem::{Problem, Problems, nearest};
use super::security::resolve_security;
use super::sizes::parse_size_bytes;
use crate::model::{BoxName, BoxWanted, ImageSource, Limits};
use crate::sys;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What all boxes of a file are resolved with, and what they leave for the checks across boxes.
pub struct Resolving<'a> {
    pub folder: &'a Path,
    pub host: HostEnvironment<'a>,
    /// Where each key is written, by its path.
    pub places: BTreeMap<Vec<String>, Span>,
    pub problems: Problems,
    pub ports: Vec<AskedPort>,
    pub addresses: Vec<FixedAddress>,
    /// Where variables came from that are not in `env`: `FILE:LINE`.
    pub env_sources: BTreeMap<(BoxName, String), String>,
}

/// Path of a box's key in the file.
pub fn key_path(name: &BoxName, key: &str) -> Vec<String> {
    if name.is_dev() { vec![key.to_owned()] } else { vec!["services".to_owned(), name.to_string(), key.to_owned()] }
}

impl Resolving<'_> {
    /// Where a key of a box is written; `None`: it is not.
    fn place(&self, name: &BoxName, key: &str) -> Option<Span> {
        self.places.get(&key_path(name, key)).cloned()
    }

    fn keep<T>(&mut self, span: Span, checked: Result<T, Wrong>) -> Option<T> {
        let problem = |(what, help): Wrong| match help {
            Some(help) => Problem::at(span, what).help(help),
            None => Problem::at(span, what),
        };
        self.problems.keep(checked.map_err(problem))
    }

    /// The box as it is wanted. What is wrong in it is in `problems`, and left out of the result.
    pub fn resolve_box(&mut self, name: &BoxName, keys: &BoxKeys) -> BoxWanted {
        self.refuse_later_keys(name, keys);
        let image = self.image(name, keys).unwrap_or(ImageSource::Host);
        let mut mounts = Vec::new();
        for entry in &keys.mounts {
            let resolved = resolve_mount(entry.value(), self.folder, &self.host);
            mounts.extend(self.keep(entry.span(), resolved).map(|mount| (entry.span(), mount)));
        }
        let mut volumes = Vec::new();
        for entry in &keys.volumes {
            volumes.extend(self.keep(entry.span(), resolve_volume(entry.value())).map(|volume| (entry.span(), volume)));
        }
        let mut tmpfs = Vec::new();
        for entry in &keys.tmpfs {
            tmpfs.extend(self.keep(entry.span(), resolve_tmpfs(entry.value())).map(|tmpfs| (entry.span(), tmpfs)));
        }
        let targets = mounts.iter().map(|(span, mount)| (span, &mount.target));
        let targets = targets.chain(volumes.iter().map(|(span, volume)| (span, &volume.target)));
        let targets = targets.chain(tmpfs.iter().map(|(span, tmpfs)| (span, &tmpfs.target)));
        refuse_same_targets(targets, &mut self.problems);
        let first_target = mounts.first().map(|(_, mount)| mount.target.clone());
        let ip = keys.ip.as_ref().and_then(|ip| {
            let address = self.problems.keep(resolve_ip(ip))?;
            self.addresses.push(FixedAddress { owner: name.clone(), address, span: ip.span() });
            Some(address)
        });
        BoxWanted {
            name: name.clone(),
            image,
            setup: keys.setup.clone(),
            mounts: mounts.into_iter().map(|(_, mount)| mount).collect(),
            volumes: volumes.into_iter().map(|(_, volume)| volume).collect(),
            tmpfs: tmpfs.into_iter().map(|(_, tmpfs)| tmpfs).collect(),
            ports: self.ports(name, &keys.ports),
            env: self.env(name, keys),
            command: keys.command.as_ref().map(words),
            entrypoint: keys.entrypoint.as_ref().map(words),
            user: self.text(&keys.user, check_user),
            workdir: self.text(&keys.workdir, check_workdir).map(PathBuf::from).or(first_target),
            hostname: self.text(&keys.hostname, check_host_name).unwrap_or_else(|| name.to_string()),
            shell: self.text(&keys.shell, check_not_empty),
            hosts: self.hosts(&keys.hosts),
            ip,
            timezone: self.text(&keys.timezone, check_timezone),
            limits: self.limits(&keys.resources),
            depends_on: Vec::new(),
            security: resolve_security(keys, &mut self.problems),
        }
    }

    fn refuse_later_keys(&mut self, name: &BoxName, keys: &BoxKeys) {
        let restart = keys.restart.as_ref().filter(|word| *word.value() != RestartWord::No).map(Placed::span);
        let written = [
            ("build", keys.build.as_ref().map(Placed::span)),
            ("health", keys.health.as_ref().map(Placed::span)),
            ("replicas", keys.replicas.as_ref().map(Placed::span)),
            ("restart", restart),
        ];
        for (key, span) in written {
            let Some(span) = span.map(|value| self.place(name, key).unwrap_or(value)) else { continue };
            let what = format!("this version does not carry out `{key}` yet");
            self.problems.add(Problem::at(span, what).help("take it out; a later version of devenv will do it"));
        }
    }

    fn image(&mut self, name: &BoxName, keys: &BoxKeys) -> Option<ImageSource> {
        let build = self.place(name, "build");
        if let Some(image) = &keys.image {
            if build.is_some() {
                let what = format!("the box `{name}` has both `image` and `build`");
                self.problems.add(Problem::at(image.span(), what).help("keep one of them"));
            }
            let resolved = resolve_image(image.value(), self.folder, &self.host);
            return self.keep(image.span(), resolved);
        }
        if build.is_none() && self.place(name, "image").is_none() && !self.is_misspelt(name, "image") {
            let what = format!("the box `{name}` has no `image`");
            let problem = match self.places.get(["services".to_owned(), name.to_string()].as_slice()) {
                Some(span) if !name.is_dev() => Problem::at(span.clone(), what),
                _ => Problem::of_file(what),
            };
            self.problems.add(problem.help("add one, as image = \"debian:bookworm\", or image = \"host\""));
        }
        None
    }

    /// Whether a key beside it looks like a slip for `key`, which is told already.
    fn is_misspelt(&self, name: &BoxName, key: &str) -> bool {
        let wanted = key_path(name, key);
        let above = &wanted[..wanted.len() - 1];
        let beside = self.places.keys().filter(|path| path.len() == wanted.len() && path.starts_with(above));
        beside.filter_map(|path| path.last()).any(|word| nearest(word, &[key]).is_some())
    }

    fn ports(&mut self, name: &BoxName, entries: &[Placed<PortEntry>]) -> Vec<crate::model::PortRequest> {
        let mut requests = Vec::new();
        for entry in entries {
            let parsed = match entry.value() {
                PortEntry::Number(number) => parse_ports(&number.to_string()),
                PortEntry::Text(text) => parse_ports(text),
            };
            let parsed = parsed.map_err(|(what, help)| (what, help.map(str::to_owned)));
            let Some(parsed) = self.keep(entry.span(), parsed) else { continue };
            let asked = |request| AskedPort { owner: name.clone(), request, span: entry.span() };
            self.ports.extend(parsed.iter().copied().map(asked));
            requests.extend(parsed);
        }
        requests
    }

    fn env(&mut self, name: &BoxName, keys: &BoxKeys) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for file in &keys.env_file {
            self.env_file(name, file, &mut env);
        }
        for (key, value) in &keys.env {
            if key.value().is_empty() || key.value().contains(['=', '\0']) {
                self.problems.add(Problem::at(key.span(), format!("\"{}\" cannot name a variable", key.value())));
                continue;
            }
            let put_in = match value.value() {
                EnvValue::Switch(switch) => Ok(switch.to_string()),
                EnvValue::Number(number) => Ok(number.to_string()),
                EnvValue::Text(text) => interpolate(text, &mut self.host),
            };
            let put_in = put_in.map_err(|unfit| (unfit.what, Some(unfit.help.to_owned())));
            if let Some(text) = self.keep(value.span(), put_in) {
                self.env_sources.remove(&(name.clone(), key.value().clone()));
                env.insert(key.value().clone(), text);
            }
        }
        env
    }

    fn env_file(&mut self, name: &BoxName, file: &Placed<String>, env: &mut BTreeMap<String, String>) {
        let path = host_path(file.value(), self.folder, &self.host);
        let text = match sys::fs::read_if_exists(&path) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let what = format!("{} does not exist", path.display());
                return self.problems.add(Problem::at(file.span(), what));
            }
            Err(failure) => {
                return self.problems.add(Problem::at(file.span(), failure.chain().join(": ")));
            }
        };
        match parse_env_file(&text) {
            Ok(lines) => {
                for line in lines {
                    let source = format!("{}:{}", file.value(), line.number);
                    self.env_sources.insert((name.clone(), line.key.clone()), source);
                    env.insert(line.key, line.value);
                }
            }
            Err(wrong) => {
                for (number, what) in wrong {
                    let what = format!("{}:{number}: {what}", file.value());
                    self.problems.add(Problem::at(file.span(), what).help("a line is KEY=VALUE"));
                }
            }
        }
    }

    fn hosts(&mut self, written: &BTreeMap<Placed<String>, Placed<String>>) -> BTreeMap<String, IpAddr> {
        let mut hosts = BTreeMap::new();
        for (host, address) in written {
            let named = self.keep(host.span(), check_host_name(host.value()));
            let address = self.problems.keep(resolve_address(address));
            hosts.extend(named.zip(address));
        }
        hosts
    }

    fn limits(&mut self, table: &ResourcesTable) -> Limits {
        let cpu_millis = table.cpus.as_ref().and_then(|cpus| {
            let millis = (cpus.value() * 1000.0).round();
            let fits = (1.0..=1e9).contains(&millis);
            let wrong = || Problem::at(cpus.span(), "`cpus` must be more than 0 and at most a million");
            self.problems.keep(fits.then_some(millis as u64).ok_or_else(wrong))
        });
        let memory_bytes = table.memory.as_ref().and_then(|memory| {
            let wrong = |what| Problem::at(memory.span(), what).help("written as `512m` or `2g`");
            self.problems.keep(parse_size_bytes(memory.value()).map_err(wrong))
        });
        let pids = table.pids.as_ref().and_then(|pids| {
            let wrong = || Problem::at(pids.span(), "`pids` must be at least 1");
            self.problems.keep((*pids.value() > 0).then_some(*pids.value()).ok_or_else(wrong))
        });
        Limits { cpu_millis, memory_bytes, pids }
    }

    fn text(&mut self, written: &Option<Placed<String>>, check: fn(&str) -> Result<String, Wrong>) -> Option<String> {
        let written = written.as_ref()?;
        self.keep(written.span(), check(written.value()))
    }
}

fn words(entry: &CommandEntry) -> Vec<String> {
    match entry {
        CommandEntry::Line(line) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        CommandEntry::Words(words) => words.clone(),
    }
}

fn refuse_same_targets<'a>(targets: impl Iterator<Item = (&'a Span, &'a PathBuf)>, problems: &mut Problems) {
    let mut seen: Vec<&Path> = Vec::new();
    for (span, target) in targets {
        if seen.contains(&target.as_path()) {
            problems.add(Problem::at(span.clone(), format!("two things are mounted on {}", target.display())));
        }
        seen.push(target);
    }
}

fn check_not_empty(text: &str) -> Result<String, Wrong> {
    if text.is_empty() { Err(("it cannot be empty".into(), None)) } else { Ok(text.to_owned()) }
}

/// `NAME`, `UID`, either with `:GROUP` or `:GID` (OCI image config, `User`).
fn check_user(text: &str) -> Result<String, Wrong> {
    let fits =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control());
    let (user, group) = text.split_once(':').unwrap_or((text, "x"));
    match fits(user) && fits(group) {
        true => Ok(text.to_owned()),
        false => {
            Err((format!("\"{text}\" is not a user"), Some("as `node`, `1000`, `node:staff` or `1000:1000`".into())))
        }
    }
}

fn check_workdir(text: &str) -> Result<String, Wrong> {
    if text == "/" { Ok(text.to_owned()) } else { box_path(text).map(|path| path.display().to_string()) }
}

/// RFC 1123, section 2.1; at most 64 characters (sethostname(2)).
fn check_host_name(text: &str) -> Result<String, Wrong> {
    let label = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    match text.len() <= 64 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err((format!("\"{text}\" is not a host name"), Some("letters, digits and '-', joined by '.'".into()))),
    }
}

/// A name below /usr/share/zoneinfo.
fn check_timezone(text: &str) -> Result<String, Wrong> {
    let part_fits = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    match text.split('/').all(part_fits) {
        true => Ok(text.to_owned()),
        false => Err((format!("\"{text}\" is not a time zone"), Some("as `Europe/Berlin` or `UTC`".into()))),
    }
}

//! What `config show` says: each effective key, its value, and who said so.

use super::boxes::{Resolving, key_path};
use super::place::Sources;
use super::sizes::size_text;
use crate::model::{BoxName, BoxWanted, HostPort, PortRequest, Project, Protocol};
use serde::Serialize;
use std::fmt::Display;

/// One effective key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Dotted path in the file: `services.db.image`.
    pub key: String,
    /// The value as TOML; `None`: the key is not given and what happens then cannot be written as a value.
    pub value: Option<String>,
    /// `FILE:LINE`, or "default" and what it is.
    pub source: String,
}

/// Every key that has an effect, the project's first.
pub fn show(project: &Project, resolving: &Resolving<'_>, sources: &Sources) -> Vec<Shown> {
    let mut list = List { resolving, sources, shown: Vec::new() };
    list.add(&["name"], Some(text(&project.name)), "the folder's name");
    for wanted in &project.boxes {
        list.add_box(wanted);
    }
    let subnet = project.network.subnet.map(|(address, prefix)| text(format!("{address}/{prefix}")));
    list.add(&["network", "subnet"], subnet, "one that is free on this computer");
    let dns = (!project.network.dns.is_empty()).then(|| array(&project.network.dns, text));
    list.add(&["network", "dns"], dns, "this computer's resolvers");
    list.add_given(&["hooks", "created"], array(&project.created_hooks, text));
    list.add_given(&["hooks", "started"], array(&project.started_hooks, text));
    list.shown
}

struct List<'a> {
    resolving: &'a Resolving<'a>,
    sources: &'a Sources,
    shown: Vec<Shown>,
}

impl List<'_> {
    /// A key with what happens when it is not given.
    fn add(&mut self, path: &[&str], value: Option<String>, default: &str) {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let source = self.source(&path).unwrap_or_else(|| format!("default: {default}"));
        self.shown.push(Shown { key: dotted(&path), value, source });
    }

    /// A key that is worth a line only if it is given.
    fn add_given(&mut self, path: &[&str], value: String) {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        if let Some(source) = self.source(&path) {
            self.shown.push(Shown { key: dotted(&path), value: Some(value), source });
        }
    }

    fn source(&self, path: &[String]) -> Option<String> {
        self.resolving.places.get(path).map(|span| self.sources.file_and_line(span))
    }

    fn add_box(&mut self, wanted: &BoxWanted) {
        let name = &wanted.name;
        let path = |key: &str| key_path(name, key);
        let mut add = |key: &str, value: Option<String>, default: &str| {
            let path = path(key);
            self.add(&path.iter().map(String::as_str).collect::<Vec<_>>(), value, default);
        };
        let image_of = |words: &str| if name.is_dev() { words.to_owned() } else { "the image's".to_owned() };
        add("image", Some(text(&wanted.image)), "");
        add("command", wanted.command.as_ref().map(|words| array(words, text)), &image_of("stay up, run nothing"));
        if wanted.entrypoint.is_some() || !name.is_dev() {
            add("entrypoint", wanted.entrypoint.as_ref().map(|words| array(words, text)), "the image's");
        }
        add("user", wanted.user.as_ref().map(text), &image_of("you"));
        let workdir = wanted.workdir.as_ref().map(|path| text(path.display()));
        let workdir_default = if workdir.is_some() { "the first mount's target" } else { "the image's" };
        add("workdir", workdir, workdir_default);
        add("hostname", Some(text(&wanted.hostname)), "the box's name");
        add("timezone", wanted.timezone.as_ref().map(text), "this computer's");
        self.add_box_given(wanted);
        for (variable, value) in &wanted.env {
            let path: Vec<String> = key_path(name, "env").into_iter().chain([variable.clone()]).collect();
            let from_file = self.resolving.env_sources.get(&(name.clone(), variable.clone())).cloned();
            let source = from_file.or_else(|| self.source(&path)).unwrap_or_default();
            self.shown.push(Shown { key: dotted(&path), value: Some(text(value)), source });
        }
        for (host, address) in &wanted.hosts {
            let path = [key_path(name, "hosts"), vec![host.clone()]].concat();
            self.add_given(&path.iter().map(String::as_str).collect::<Vec<_>>(), text(address));
        }
    }

    fn add_box_given(&mut self, wanted: &BoxWanted) {
        let mut add = |name: &BoxName, key: &[&str], value: String| {
            let mut path = key_path(name, key[0]);
            path.extend(key[1..].iter().map(|part| (*part).to_owned()));
            self.add_given(&path.iter().map(String::as_str).collect::<Vec<_>>(), value);
        };
        let name = &wanted.name;
        let option = |readonly| if readonly { ":ro" } else { "" };
        add(
            name,
            &["mounts"],
            array(&wanted.mounts, |mount| {
                text(format!("{}:{}{}", mount.source.display(), mount.target.display(), option(mount.readonly)))
            }),
        );
        add(
            name,
            &["volumes"],
            array(&wanted.volumes, |volume| {
                text(format!("{}:{}{}", volume.name, volume.target.display(), option(volume.readonly)))
            }),
        );
        add(
            name,
            &["tmpfs"],
            array(&wanted.tmpfs, |tmpfs| match tmpfs.size_bytes {
                Some(size) => text(format!("{}:{}", tmpfs.target.display(), size_text(size))),
                None => text(tmpfs.target.display()),
            }),
        );
        add(name, &["ports"], array(&wanted.ports, |port| text(port_text(port))));
        add(name, &["ip"], wanted.ip.map(text).unwrap_or_default());
        add(name, &["shell"], wanted.shell.as_ref().map(text).unwrap_or_default());
        add(name, &["setup"], array(&wanted.setup, text));
        add(name, &["depends_on"], array(&wanted.depends_on, text));
        let cpus = wanted.limits.cpu_millis.map(|millis| (millis as f64 / 1000.0).to_string());
        add(name, &["resources", "cpus"], cpus.unwrap_or_default());
        add(name, &["resources", "memory"], wanted.limits.memory_bytes.map(size_text).map(text).unwrap_or_default());
        add(name, &["resources", "pids"], wanted.limits.pids.map(|pids| pids.to_string()).unwrap_or_default());
        add(name, &["restart"], text("no"));
        add(name, &["privileged"], wanted.security.privileged.to_string());
        add(name, &["cap_add"], array(&wanted.security.cap_add, text));
        add(name, &["devices"], array(&wanted.security.devices, |device| text(device.display())));
        add(
            name,
            &["security"],
            array(&["seccomp=unconfined"][..usize::from(wanted.security.seccomp_unconfined)], text),
        );
    }
}

/// A port request as the file would write it.
fn port_text(port: &PortRequest) -> String {
    let protocol = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    let number = match port.host {
        HostPort::Preferred => port.box_port.to_string(),
        HostPort::Exactly(host) => format!("{host}:{}", port.box_port),
    };
    match port.address {
        crate::model::PortAddress::Loopback => format!("{number}{protocol}"),
        crate::model::PortAddress::Address(std::net::IpAddr::V6(address)) => format!("[{address}]:{number}{protocol}"),
        crate::model::PortAddress::Address(address) => format!("{address}:{number}{protocol}"),
    }
}

fn text(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn array<'a, T>(items: &'a [T], item: impl Fn(&'a T) -> String) -> String {
    format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
}

/// A path as a TOML key: parts that are not bare are quoted.
fn dotted(path: &[String]) -> String {
    let bare = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let part = |part: &String| if bare(part) { part.clone() } else { text(part) };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

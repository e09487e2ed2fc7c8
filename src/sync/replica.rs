//! One tree on one side: reads it, changes it as asked, and knows what is in it.

use super::aside::empty_stage;
use super::names::Rules;
use super::path::TreePath;
use super::patterns::{OWN, Patterns};
use super::scan::{Scanner, Unread, is_out_of_descriptors, is_unchanged, nanoseconds_now};
use super::trash::Trash;
use super::tree::{Apart, Change, Hash, Node, differences};
use crate::model::{Failure, Result, Trying};
use crate::sys::folder::{Facts, Folder, Sort};
use crate::sys::fs::{make_folder, random_bytes, read_if_exists, real_path, write_atomically};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A lock of git that is older is one that was left behind.
const FRESH_LOCK_NANOSECONDS: i64 = 60_000_000_000;

/// Who owns what sync makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// One side's tree with all that is needed to work on it.
pub struct Replica {
    pub(super) root_path: PathBuf,
    pub(super) state: PathBuf,
    pub(super) root: Arc<Folder>,
    device: u64,
    pub(super) inode: u64,
    pub(super) patterns: Patterns,
    pub(super) rules: Rules,
    /// The names in the folder looked at last, where a name that is found need not be the one that stands there.
    pub(super) listed: Option<(TreePath, HashSet<Box<[u8]>>)>,
    pub(super) tree: Node,
    pub(super) stage: Arc<Folder>,
    /// Where the watch makes its signs.
    pub(super) signs: PathBuf,
    pub(super) trash: Trash,
    pub(super) owner: Option<Owner>,
    /// Numbers files in the stage.
    pub(super) staged: u64,
    /// The folder worked in last: steps come sorted.
    pub(super) near: Option<(TreePath, Arc<Folder>)>,
    pub(super) notes: Vec<String>,
    /// Large files that have to be read.
    pub(super) unread: Unread,
}

impl Replica {
    /// Opens the tree at `root`. `state` is a folder that belongs to this tree alone.
    ///
    /// # Errors
    /// The root is missing, or the state folder cannot be used.
    pub fn open(root: &Path, state: &Path, ignore: &[String], owner: Option<Owner>) -> Result<Replica> {
        let open = Folder::at(root).trying(|| format!("cannot open {}", root.display()))?;
        let facts = open.facts().trying(|| format!("cannot look at {}", root.display()))?;
        let root = &real_path(root)?;
        make_folder(state)?;
        let signs = state.join("signs");
        make_folder(&signs)?;
        let signs = real_path(&signs)?;
        let own = own_folder(&open, root, state, facts.device)?;
        let (stage, trash) = (inner(&own, b"stage"), inner(&own, b"trash"));
        let stage = stage.trying(|| format!("cannot stage files for {}", root.display()))?;
        empty_stage(&stage);
        let rules =
            Rules::of(&open, &stage).trying(|| format!("cannot write to the file system of {}", root.display()))?;
        let trash = trash.and_then(Trash::open).trying(|| format!("cannot open the trash of {}", root.display()))?;
        Ok(Replica {
            root_path: root.into(),
            state: state.into(),
            root: Arc::new(open),
            device: facts.device,
            inode: facts.inode,
            patterns: Patterns::new(ignore)?,
            rules,
            listed: None,
            tree: Node::folder(),
            stage: Arc::new(stage),
            signs,
            trash,
            owner,
            staged: 0,
            near: None,
            notes: Vec::new(),
            unread: Unread::default(),
        })
    }

    /// What the file system of `root` makes of names.
    ///
    /// # Errors
    /// As `open`.
    pub fn rules(root: &Path, state: &Path) -> Result<Rules> {
        let what = || format!("cannot look at {}", root.display());
        let open = Folder::at(root).trying(what)?;
        make_folder(state)?;
        let own = own_folder(&open, root, state, open.facts().trying(what)?.device)?;
        inner(&own, b"stage").and_then(|stage| Rules::of(&open, &stage)).trying(what)
    }

    /// The tree as it was last read.
    pub fn tree(&self) -> &Node {
        &self.tree
    }

    /// Takes `tree` for what was read last; stamps tell which files have to be read again.
    pub fn remember(&mut self, tree: Node) {
        self.tree = tree;
    }

    /// Whether the folder at the root's path is still the one that was opened.
    pub fn is_root_there(&self) -> bool {
        Folder::at(&self.root_path).and_then(|folder| folder.facts()).is_ok_and(|facts| facts.inode == self.inode)
    }

    /// Reads all of the tree and returns what it was before. `on_folder` is called for each folder before it is read.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn scan(&mut self, on_folder: &(dyn Fn(&TreePath) + Sync)) -> Result<Node> {
        let what = || format!("cannot read {}", self.root_path.display());
        let root = self.root.again().trying(what)?;
        let scanner = self.scanner(on_folder);
        let new = scanner.read_all(root, &TreePath::root(), Some(&self.tree)).trying(what)?;
        self.forget_near();
        Ok(std::mem::replace(&mut self.tree, new))
    }

    /// Looks at one path again. A folder that was known is read again only if `deep`.
    pub fn refresh(
        &mut self,
        path: &TreePath,
        deep: bool,
        on_folder: &(dyn Fn(&TreePath) + Sync),
        into: &mut Vec<Change>,
    ) -> io::Result<()> {
        let path = &self.rules.told_path(path);
        let Some((parent, name)) = path.split() else { return Ok(()) };
        if self.patterns.covers(&parent, true) {
            return Ok(());
        }
        let Ok(handle) = self.walk(&parent) else {
            // What is above it changed too.
            self.near = None;
            return self.refresh(&parent, true, on_folder, into);
        };
        if !self.tree.get(&parent).is_some_and(Node::is_folder) {
            return self.refresh(&parent, true, on_folder, into);
        }
        let old = self.tree.get(path);
        let stands = !self.rules.folds() || is_listed(&mut self.listed, self.rules, &parent, &handle, name)?;
        let (patterns, unread) = (&self.patterns, &self.unread);
        let scanner = Scanner { patterns, rules: self.rules, device: self.device, on_folder, unread };
        let mut new = if stands { scanner.read_one(&handle, &parent, name, old)? } else { None };
        if new.as_ref().is_some_and(Node::is_folder) {
            match old {
                Some(Node::Folder(_)) if !deep => return Ok(()),
                _ => match handle.enter(name) {
                    Ok(folder) => match scanner.read_all(folder, path, old) {
                        Ok(node) => new = Some(node),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => new = None,
                        Err(error) => return Err(error),
                    },
                    Err(_) => new = None,
                },
            }
        }
        self.take_in(path, new, || handle.look(name), into)
    }

    /// Takes in what was found at a path.
    fn take_in(
        &mut self,
        path: &TreePath,
        new: Option<Node>,
        look: impl FnOnce() -> io::Result<Option<Facts>>,
        into: &mut Vec<Change>,
    ) -> io::Result<()> {
        let old = self.tree.get(path);
        differences(path, old, new.as_ref(), into);
        let edited = matches!((old, &new), (Some(old @ Node::File(..)), Some(new @ Node::File(..))) if old != new);
        let twins = if edited { twins(&self.tree, path, look()?) } else { Vec::new() };
        self.tree.set(path, new);
        for twin in twins {
            self.refresh_twin(&twin, into)?;
        }
        Ok(())
    }

    /// Opens a file that has to be read. `None`: it is as it was read last, or is no such file any more; whoever asks
    /// should refresh it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open_unread(&mut self, path: &TreePath) -> io::Result<Option<std::fs::File>> {
        let Some((parent, name)) = path.split() else { return Ok(None) };
        let Ok(handle) = self.walk(&parent) else { return Ok(None) };
        let Some(facts) = handle.look(name)? else { return Ok(None) };
        let known = matches!(self.tree.get(path), Some(Node::File(file, stamp)) if is_unchanged(file, stamp, &facts));
        if known || facts.sort != Sort::File || !self.tree.get(&parent).is_some_and(Node::is_folder) {
            return Ok(None);
        }
        match handle.read(name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_out_of_descriptors(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes in that a file cannot be told.
    pub(super) fn was_not_read(&mut self, path: &TreePath, why: Apart, into: &mut Vec<Change>) {
        let known = path.split().is_some_and(|(parent, _)| self.tree.get(&parent).is_some_and(Node::is_folder));
        if known {
            let _ = self.take_in(path, Some(Node::Apart(why)), || Ok(None), into);
        }
    }

    /// Takes in what was read of a file while it was open. Returns whether it still stands there.
    pub(super) fn was_read(&mut self, path: &TreePath, node: Node, read: &Facts, into: &mut Vec<Change>) -> bool {
        let Some((parent, name)) = path.split() else { return false };
        let Ok(Some(facts)) = self.walk(&parent).and_then(|folder| folder.look(name)) else { return false };
        let stands = facts.inode == read.inode && self.tree.get(&parent).is_some_and(Node::is_folder);
        stands && self.take_in(path, Some(node), || Ok(Some(facts)), into).is_ok()
    }

    /// Looks again at another name of a file that was edited: nothing is heard of it.
    fn refresh_twin(&mut self, path: &TreePath, into: &mut Vec<Change>) -> io::Result<()> {
        let Some((parent, name)) = path.split() else { return Ok(()) };
        // What went away meanwhile is heard of.
        let Ok(handle) = self.walk(&parent) else { return Ok(()) };
        let scanner = self.scanner(&|_| {});
        let old = self.tree.get(path);
        if let Some(new @ Node::File(..)) = scanner.read_one(&handle, &parent, name, old)? {
            differences(path, old, Some(&new), into);
            self.tree.set(path, Some(new));
        }
        Ok(())
    }

    fn scanner<'a>(&'a self, on_folder: &'a (dyn Fn(&TreePath) + Sync)) -> Scanner<'a> {
        let (patterns, unread) = (&self.patterns, &self.unread);
        Scanner { patterns, rules: self.rules, device: self.device, on_folder, unread }
    }

    /// Whether git is changing files right now: it holds its lock, and not since an accident long ago.
    pub fn is_git_busy(&self) -> bool {
        let lock = self.root.enter(b".git").and_then(|git| git.look(b"index.lock")).ok().flatten();
        lock.is_some_and(|facts| nanoseconds_now().saturating_sub(facts.modified_nanoseconds) < FRESH_LOCK_NANOSECONDS)
    }

    /// Opens a folder of the tree, name by name.
    pub(super) fn walk(&mut self, path: &TreePath) -> io::Result<Arc<Folder>> {
        if path.is_root() {
            return Ok(self.root.clone());
        }
        if let Some((near, folder)) = &self.near
            && near == path
        {
            return Ok(folder.clone());
        }
        let start = match &self.near {
            Some((near, folder)) if path.is_within(near) => (near.parts().count(), folder.clone()),
            _ => (0, self.root.clone()),
        };
        let folder = path.parts().skip(start.0).try_fold(start.1, |at, name| at.enter(name).map(Arc::new))?;
        self.near = Some((path.clone(), folder.clone()));
        Ok(folder)
    }

    /// Forgets what was open: what is done next looks anew.
    pub(super) fn forget_near(&mut self) {
        self.near = None;
        self.listed = None;
    }

    /// What stands for this copy of the tree.
    ///
    /// # Errors
    /// The state folder cannot be used.
    pub fn identity(state: &Path) -> Result<[u8; 16]> {
        let path = state.join("replica");
        let known = read_if_exists(&path)?.and_then(|text| u128::from_str_radix(text.trim(), 16).ok());
        if let Some(known) = known {
            return Ok(known.to_be_bytes());
        }
        make_folder(state)?;
        let new: [u8; 16] = random_bytes()?;
        write_atomically(&path, format!("{:032x}\n", u128::from_be_bytes(new)).as_bytes())?;
        Ok(new)
    }
}

/// One number for all of a tree: equal trees have equal ones.
pub fn digest(node: &Node) -> Hash {
    // Hashed as a whole: a hasher that is given a few bytes at a time takes thrice as long.
    let mut said = Vec::new();
    let say = |said: &mut Vec<u8>, bytes: &[u8]| {
        said.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        said.extend_from_slice(bytes);
    };
    for (name, child) in node.entries() {
        say(&mut said, name);
        match child {
            Node::Apart(why) => said.extend_from_slice(&[4, *why as u8]),
            Node::Folder(_) => {
                said.push(3);
                said.extend_from_slice(&digest(child));
            }
            Node::File(file, _) => {
                said.push(1);
                said.extend_from_slice(&file.hash);
                said.extend_from_slice(&file.mode.to_le_bytes());
            }
            Node::Link(target) => {
                said.push(2);
                say(&mut said, target);
            }
        }
    }
    *blake3::hash(&said).as_bytes()
}

/// Where the stage and the trash are: on the file system of the tree, since files move between them by rename.
fn own_folder(root: &Folder, root_path: &Path, state: &Path, device: u64) -> Result<Folder> {
    let what = || format!("cannot open {}", state.display());
    let open = Folder::at(state).trying(what)?;
    if open.facts().trying(what)?.device == device {
        return Ok(open);
    }
    inner(root, OWN.as_bytes()).trying(|| format!("cannot make {OWN} in {}", root_path.display())).map_err(|error| {
        Failure::because("there is no place for files on their way", error)
            .hint("the folder that is synced has to be writable")
    })
}

/// Whether a folder lists just this name.
fn is_listed(
    listed: &mut Option<(TreePath, HashSet<Box<[u8]>>)>,
    rules: Rules,
    path: &TreePath,
    folder: &Folder,
    name: &[u8],
) -> io::Result<bool> {
    let known = listed.take().filter(|(known, _)| known == path);
    let known = match known {
        Some(known) => known,
        None => (path.clone(), folder.names()?.into_iter().map(|name| rules.told(name)).collect()),
    };
    Ok(listed.insert(known).1.contains(name))
}

/// The other names in `tree` of the file at `path`, if it is one with several.
fn twins(tree: &Node, path: &TreePath, facts: Option<Facts>) -> Vec<TreePath> {
    fn walk(at: &TreePath, node: &Node, inode: u64, into: &mut Vec<TreePath>) {
        for (name, child) in node.entries() {
            match child {
                Node::File(_, stamp) if stamp.inode == inode => into.push(at.join(name)),
                Node::Folder(_) => walk(&at.join(name), child, inode, into),
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    if let Some(facts) = facts.filter(|facts| facts.links > 1) {
        walk(&TreePath::root(), tree, facts.inode, &mut all);
    }
    all.retain(|twin| twin != path);
    all
}

fn inner(folder: &Folder, name: &[u8]) -> io::Result<Folder> {
    match folder.make_folder(name, 0o700) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => folder.enter(name),
    }
}

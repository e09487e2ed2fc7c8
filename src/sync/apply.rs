//! Does steps on the file system so that no version is ever lost: what is replaced is first swapped out in one step,
//! then looked at, and put back if it is not what the plan saw.

use super::message::{Body, Order, Outcome};
use super::path::TreePath;
use super::reconcile::is_phantom;
use super::replica::Replica;
use super::scan::{hash_of, node_of};
use super::stage::{Laid, Staged};
use super::tree::{File, Leaf, Node, Stamp};
use crate::sys::folder::{Facts, Folder, Sort, facts_of, is_other_kind, is_unsupported, set_mode};
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// Mode of folders that sync makes, before the process's mask.
const FOLDER_MODE: u16 = 0o777;

const CANNOT_SWAP: &str = "the file system cannot swap two files in one step: an edit made at the very moment of an \
                           update is kept in the trash only";

/// Why a step was not done.
pub(super) enum Not {
    /// Something else is there than the plan saw.
    Refused,
    NeedsContent,
    Failed(io::Error),
}

impl From<io::Error> for Not {
    fn from(error: io::Error) -> Not {
        match error.kind() {
            // The tree changed under the step.
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Not::Refused,
            _ if is_other_kind(&error) => Not::Refused,
            _ => Not::Failed(error),
        }
    }
}

impl From<Not> for Outcome {
    fn from(not: Not) -> Outcome {
        match not {
            Not::Refused => Outcome::Refused,
            Not::NeedsContent => Outcome::NeedsContent,
            Not::Failed(error) => Outcome::Failed(error.to_string()),
        }
    }
}

pub(super) type Step<T> = Result<T, Not>;

impl Replica {
    /// Does one order. `staged` is the large file that came in pieces for it. After anything but `Done` the path should
    /// be looked at again.
    pub fn obey(&mut self, order: &Order, staged: Option<Staged>) -> Outcome {
        match self.try_order(order, staged) {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Stays,
            Err(not) => not.into(),
        }
    }

    /// Returns whether it was done to the letter; a folder that holds what stays apart stays.
    fn try_order(&mut self, order: &Order, staged: Option<Staged>) -> Step<bool> {
        let Some((parent, name)) = order.path.split() else { return Err(Not::Refused) };
        self.expect_to_cross(order)?;
        let parent = self.walk(&parent)?;
        let known = self.tree.get(&order.path).cloned();
        if matches!(known, Some(Node::Apart(_))) {
            return Err(Not::Refused);
        }
        if !self.is_as_planned(known.as_ref().and_then(Node::leaf).as_ref(), order.old.as_ref()) {
            // A folder of nothing but what stays apart may stand where nothing was expected.
            let is_folder = |facts: Facts| facts.sort == Sort::Folder;
            let stands = known.as_ref().is_some_and(Node::is_folder) && parent.look(name)?.is_some_and(is_folder);
            return if stands && order.old.is_none() && order.new == Some(Leaf::Folder) {
                Ok(true)
            } else {
                Err(Not::Refused)
            };
        }
        if let Body::Renamed(from) = &order.body {
            return self.rename(&parent, from, &order.path, name);
        }
        let left = match (known, &order.new) {
            (Some(folder @ Node::Folder(_)), None) => self.remove_folder(&parent, name, folder)?,
            (Some(Node::Folder(_)), Some(_)) => return Err(Not::Refused),
            (Some(known), None) => {
                self.put_away(&parent, name, &order.path, &known)?;
                None
            }
            (known, Some(Leaf::Folder)) => {
                if let Some(known) = known {
                    self.put_away(&parent, name, &order.path, &known)?;
                }
                Some(self.make_folder(&parent, name)?)
            }
            (Some(Node::File(known, stamp)), Some(Leaf::File(new)))
                if known.hash == new.hash && order.body == Body::None =>
            {
                Some(change_mode(&parent, name, &known, &stamp, new.mode)?)
            }
            (known, Some(leaf)) => Some(self.put(&parent, name, order, leaf, known, staged)?),
            (None, None) => None,
        };
        let done = left.is_none() == order.new.is_none();
        self.tree.set(&order.path, left);
        Ok(done)
    }

    /// Refuses to touch what stays apart.
    pub(super) fn expect_to_cross(&self, order: &Order) -> Step<()> {
        let becomes_folder = order.new == Some(Leaf::Folder) || order.old == Some(Leaf::Folder);
        match self.patterns.covers(&order.path, becomes_folder) {
            true => Err(Not::Failed(io::Error::other("it stays apart on this side"))),
            false => Ok(()),
        }
    }

    /// Whether what stands at a path is what the plan saw, as far as this file system can tell.
    fn is_as_planned(&self, known: Option<&Leaf>, planned: Option<&Leaf>) -> bool {
        match (known, planned) {
            (Some(Leaf::File(one)), Some(Leaf::File(two))) if self.rules.loses_modes => one.hash == two.hash,
            (known, planned) => known == planned,
        }
    }

    /// Changes how a name is written, where both ways are one name to the file system.
    fn rename(&mut self, parent: &Folder, from: &TreePath, to: &TreePath, new: &[u8]) -> Step<bool> {
        let known = self.tree.get(from).cloned();
        let (Some((folder, old)), Some(known), true) = (from.split(), known, self.rules.folds()) else {
            return Err(Not::Refused);
        };
        if Some(&folder) != to.split().as_ref().map(|(parent, _)| parent) {
            return Err(Not::Refused);
        }
        // A rename replaces what has the new name, so nothing else may. Numbers of inodes do not tell: FUSE may give each
        // way of writing a name another one.
        let names = parent.names()?;
        let stands = |name: &[u8]| names.iter().any(|stands| *self.rules.told(stands.clone()) == *name);
        if !stands(old) || stands(new) {
            return Err(Not::Refused);
        }
        self.forget_near();
        parent.rename_over(old, parent, new)?;
        self.tree.set(from, None);
        self.tree.set(to, Some(known));
        Ok(true)
    }

    /// Removes an empty folder. What holds nothing but what stays apart stays, and that is as it should be.
    fn remove_folder(&mut self, parent: &Folder, name: &[u8], known: Node) -> Step<Option<Node>> {
        self.forget_near();
        match parent.remove_folder(name) {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && is_phantom(Some(&known), None) => {
                Ok(Some(known))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn make_folder(&self, parent: &Folder, name: &[u8]) -> Step<Node> {
        parent.make_folder(name, FOLDER_MODE)?;
        self.give(parent, name)?;
        Ok(Node::folder())
    }

    /// Moves what stands at `path` into the trash if it is what is `known`.
    fn put_away(&mut self, parent: &Folder, name: &[u8], path: &TreePath, known: &Node) -> Step<()> {
        let strict = is_as_stamped(parent, name, known);
        let (trash, kept, place) = self.trash.place(path)?;
        match parent.rename_new(name, trash, &kept) {
            Err(error) if is_unsupported(&error) => parent.rename_over(name, trash, &kept)?,
            other => other?,
        }
        if is_same(trash, &kept, known, strict) {
            if let Node::File(file, _) = known {
                self.trash.remember(file.hash, place);
            }
            return Ok(());
        }
        // Something newer: back with it. Should its name be taken again, the trash keeps it.
        match trash.rename_new(&kept, parent, name) {
            Err(error) if is_unsupported(&error) && parent.look(name)?.is_none() => {
                trash.rename_over(&kept, parent, name)?
            }
            _ => {}
        }
        Err(Not::Refused)
    }

    /// Puts a new file or link in place, of nothing or of what is `known`.
    fn put(
        &mut self,
        parent: &Arc<Folder>,
        name: &[u8],
        order: &Order,
        leaf: &Leaf,
        known: Option<Node>,
        staged: Option<Staged>,
    ) -> Step<Node> {
        let staged = self.make_ready(order, leaf, staged)?;
        let placed = match &known {
            None => place_new(&self.stage, &staged.name, parent, name),
            Some(known) => self.replace(parent, name, order, known, &staged),
        };
        if let Err(not) = placed {
            let _ = self.stage.unlink(&staged.name);
            return Err(not);
        }
        let Leaf::File(file) = leaf else { return Ok(Node::from(leaf)) };
        // Somebody may have written to it already: then what is known of it is only what was put there.
        let untouched = staged.laid.zip(parent.look(name)?).filter(|(laid, now)| {
            let then = &laid.facts;
            let looks = |facts: &Facts| (facts.inode, facts.modified_nanoseconds, facts.size_bytes);
            looks(now) == looks(then) && now.mode == file.mode
        });
        Ok(match untouched {
            Some((Laid { is_dated: true, .. }, now)) => {
                let looks = File { modified_nanoseconds: now.modified_nanoseconds, ..*file };
                Node::File(looks, Stamp { changed_nanoseconds: now.changed_nanoseconds, inode: now.inode })
            }
            Some((_, now)) => node_of(file.hash, &now),
            None => Node::File(*file, Stamp::default()),
        })
    }

    fn replace(&mut self, parent: &Folder, name: &[u8], order: &Order, known: &Node, ready: &Staged) -> Step<()> {
        let staged = &ready.name[..];
        let strict = is_as_stamped(parent, name, known);
        // The new one goes into the trash and trades places there: whenever this ends, what it replaces is not lost.
        let (trash, kept, place) = self.trash.place(&order.path)?;
        self.stage.rename_over(staged, trash, &kept)?;
        // In this order watchers of the folder hear of what comes after what goes.
        match parent.swap(name, trash, &kept) {
            Err(error) if is_unsupported(&error) => {
                trash.rename_over(&kept, &self.stage, staged)?;
                self.note(CANNOT_SWAP);
                self.put_away(parent, name, &order.path, known)?;
                return place_new(&self.stage, staged, parent, name);
            }
            Err(error) => {
                trash.rename_over(&kept, &self.stage, staged)?;
                return Err(error.into());
            }
            Ok(()) => {}
        }
        if is_same(trash, &kept, known, strict) {
            if let Node::File(file, _) = known {
                self.trash.remember(file.hash, place);
            }
            return Ok(());
        }
        if let Some(put) = order.new.as_ref().map(Node::from) {
            swap_back(trash, &kept, parent, name, &put, ready.laid.map(|laid| laid.facts).as_ref())?;
        }
        Err(Not::Refused)
    }

    pub(super) fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }
}

/// Something newer came out when `put` went in: back with it. What was put has been in the tree for a moment, so it stays
/// in the trash, where nothing that somebody writes to it is lost; and if somebody changed or replaced it there, that is
/// the newest of all, and stands.
fn swap_back(
    trash: &Folder,
    kept: &[u8],
    parent: &Folder,
    name: &[u8],
    put: &Node,
    facts: Option<&Facts>,
) -> io::Result<()> {
    trash.swap(kept, parent, name)?;
    let now = trash.look(kept)?;
    let is_file_put = now.zip(facts).is_some_and(|(now, put)| {
        now.inode == put.inode
            && now.size_bytes == put.size_bytes
            && now.modified_nanoseconds == put.modified_nanoseconds
    });
    let untouched = (is_file_put || matches!(put, Node::Link(_))) && is_same(trash, kept, put, false);
    if !untouched {
        trash.swap(kept, parent, name)?;
    }
    Ok(())
}

/// Renames into place where nothing is.
pub(super) fn place_new(stage: &Folder, staged: &[u8], parent: &Folder, name: &[u8]) -> Step<()> {
    match stage.rename_new(staged, parent, name) {
        Err(error) if is_unsupported(&error) => match parent.look(name)? {
            None => Ok(stage.rename_over(staged, parent, name)?),
            Some(_) => Err(Not::Refused),
        },
        other => Ok(other?),
    }
}

/// Sets the mode of a file whose content stays.
fn change_mode(parent: &Folder, name: &[u8], known: &File, stamp: &Stamp, mode: u16) -> Step<Node> {
    let mut file = parent.read(name)?;
    let facts = facts_of(&file)?;
    let node = Node::File(*known, *stamp);
    if facts.sort != Sort::File || !(is_stamped(&facts, &node) || hash_of(&mut file)? == known.hash) {
        return Err(Not::Refused);
    }
    set_mode(&file, mode)?;
    let facts = facts_of(&file)?;
    // Somebody may have changed it once more already: that is told when it is looked at.
    Ok(match facts.mode == mode {
        true => node_of(known.hash, &facts),
        false => Node::File(File { mode, ..*known }, Stamp::default()),
    })
}

/// Whether what stands there looks, the time of its last change included, as when it was read.
pub(super) fn is_as_stamped(parent: &Folder, name: &[u8], known: &Node) -> bool {
    parent.look(name).ok().flatten().is_some_and(|facts| is_stamped(&facts, known))
}

fn is_stamped(facts: &Facts, known: &Node) -> bool {
    matches!(known, Node::File(_, stamp) if stamp.changed_nanoseconds == facts.changed_nanoseconds && stamp.changed_nanoseconds != 0)
        && looks_same(facts, known)
}

fn looks_same(facts: &Facts, known: &Node) -> bool {
    matches!(known, Node::File(file, stamp)
        if facts.sort == Sort::File
            && stamp.inode == facts.inode
            && file.size_bytes == facts.size_bytes
            && file.mode == facts.mode
            && file.modified_nanoseconds == facts.modified_nanoseconds)
}

/// Whether what was moved out of the tree is what was known. `strict`: it looked unchanged just before; a rename touches
/// the time of the last change, so that cannot be asked any more.
fn is_same(folder: &Folder, name: &[u8], known: &Node, strict: bool) -> bool {
    let Ok(Some(facts)) = folder.look(name) else { return false };
    // Not read to its end only to see that it is longer.
    if matches!(known, Node::File(file, _) if file.size_bytes != facts.size_bytes) {
        return false;
    }
    match known {
        Node::Link(target) => facts.sort == Sort::Link && folder.read_link(name).is_ok_and(|now| *now == **target),
        Node::File(..) if strict && looks_same(&facts, known) => true,
        Node::File(file, _) => {
            let hash = |_| folder.read(name).and_then(|mut file| hash_of(&mut file)).ok();
            Some(facts).filter(|facts| facts.sort == Sort::File && facts.mode == file.mode).and_then(hash)
                == Some(file.hash)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::path::Blob;
    use crate::sync::tests::world::World;

    #[test]
    fn what_replaced_a_file_need_not_be_read_and_a_write_at_that_moment_shows() {
        let world = World::new();
        std::fs::write(world.here("x"), "one").unwrap();
        let mut replica = Replica::open(&world.here(""), &world.state("here"), &[], None).unwrap();
        replica.scan(&|_| {}).unwrap();
        let mut sure = 0;
        for round in 100..150 {
            let (content, old) = (round.to_string(), replica.tree().get(&"x".into()).and_then(Node::leaf));
            let hash = *blake3::hash(content.as_bytes()).as_bytes();
            let new = Some(Leaf::File(File { hash, size_bytes: 3, mode: 0o644, modified_nanoseconds: 0 }));
            let body = Body::Inline(Blob(content.into_bytes()));
            let order = Order { ticket: 1, path: "x".into(), old, new, body };
            assert_eq!(replica.obey(&order, None), Outcome::Done);
            let known = replica.tree().get(&"x".into());
            sure += u32::from(matches!(known, Some(Node::File(_, Stamp { changed_nanoseconds: 1.., .. }))));
            std::fs::write(world.here("x"), "new").unwrap();
            let mut changes = Vec::new();
            replica.refresh(&"x".into(), false, &|_| {}, &mut changes).unwrap();
            assert_eq!(changes.len(), 1, "{round}");
        }
        // One in a thousand has a time that is whole microseconds, which need not be exact.
        assert!(sure > 40, "{sure}");
    }

    #[test]
    fn what_is_saved_between_a_swap_and_its_undoing_stands() {
        type Save = fn(&std::path::Path);
        let saves: [(&str, Save); 3] = [
            ("nothing", |_| {}),
            ("edited in place", |path| std::fs::write(path, "newest").unwrap()),
            ("saved by rename", |path| {
                std::fs::write(path.with_extension("tmp"), "newest").unwrap();
                std::fs::rename(path.with_extension("tmp"), path).unwrap();
            }),
        ];
        for (what, save) in saves {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            std::fs::create_dir(at("tree")).unwrap();
            std::fs::create_dir(at("trash")).unwrap();
            // The trash holds what stood there, which the plan had not seen; the tree what sync put.
            std::fs::write(at("trash/1"), "newer").unwrap();
            std::fs::write(at("tree/x"), "put").unwrap();
            let (trash, parent) = (Folder::at(&at("trash")).unwrap(), Folder::at(&at("tree")).unwrap());
            let facts = parent.look(b"x").unwrap().unwrap();
            let put = node_of(*blake3::hash(b"put").as_bytes(), &facts);
            save(&at("tree/x"));
            swap_back(&trash, b"1", &parent, b"x", &put, Some(&facts)).unwrap();
            let shown = [at("tree/x"), at("trash/1")].map(|path| std::fs::read_to_string(path).unwrap());
            let wanted = if what == "nothing" { ["newer", "put"] } else { ["newest", "newer"] };
            assert_eq!(shown, wanted, "{what}");
        }
    }
}

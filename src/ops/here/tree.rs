//! The trees of other computers that this one keeps for their projects.

use super::site::Computer;
use crate::model::call::{Caller, Person};
use crate::model::sync::SyncVersion;
use crate::model::{ProjectId, Result, Trying};
use crate::sync::version::version;
use crate::sync::{Owner, far};
use crate::sys::fs::{make_folder, make_private_folder, remove_tree_if_exists};
use crate::sys::stream::Stream;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where a tree is, and whose it is.
pub struct Tree {
    root: PathBuf,
    /// What the sync remembers of it: gone with the tree.
    state: PathBuf,
    owner: Option<Owner>,
}

impl Tree {
    /// What stands at a path below its root.
    ///
    /// # Errors
    /// The path leads elsewhere, or something cannot be read.
    pub fn version(&self, path: &Path) -> Result<SyncVersion> {
        version(&self.root, path)
    }
}

/// The tree of the folder `source` of the computer that `project` belongs to; its own is made if it is not there.
///
/// # Errors
/// The disk is full or not writable.
pub fn tree_of(project: &ProjectId, source: &Path, person: Option<&Person>) -> Result<Tree> {
    let caller = Caller { person: person.cloned(), ..Caller::default() };
    let computer = Computer::look(Some(&caller))?;
    let trees = computer.layout.trees(project);
    make_folder(&trees)?;
    // Only whoever may enter this folder, or has a tree mounted, sees what is in it.
    make_private_folder(&trees)?;
    let state = computer.layout.tree_state(project, source);
    make_folder(&state)?;
    let root = computer.layout.tree(project, source);
    make_own(&root, &computer)?;
    let owner = person.map(|person| Owner { uid: person.uid, gid: person.gid });
    Ok(Tree { root, state, owner })
}

/// Keeps a tree equal to that of whoever is at the other end, until the stream ends.
///
/// # Errors
/// The stream breaks, or the tree cannot be used.
pub async fn keep_tree(stream: Stream, tree: Tree) -> Result<()> {
    far::serve(stream, tree.root, tree.state, tree.owner).await
}

/// Makes a tree's folder: it begins empty, and is the person's. What is there stays.
///
/// # Errors
/// The disk is full or not writable.
pub fn make_own(root: &Path, computer: &Computer) -> Result<()> {
    if root.exists() {
        return Ok(());
    }
    make_folder(root)?;
    let Person { uid, gid, .. } = computer.person;
    // Services of a box run as others, and have to come in.
    std::os::unix::fs::chown(root, Some(uid), Some(gid))
        .and_then(|()| std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)))
        .trying(|| format!("cannot give {} to its owner", root.display()))
}

/// Whether a project has trees, or some that were not removed to the end.
pub fn has_trees(computer: &Computer, project: &ProjectId) -> bool {
    computer.layout.trees(project).exists() || computer.layout.trees_going(project).exists()
}

/// Removes all trees of a project, whose other sides are where they always were.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_trees(computer: &Computer, project: &ProjectId) -> Result<()> {
    let (trees, going) = (computer.layout.trees(project), computer.layout.trees_going(project));
    remove_tree_if_exists(&going)?;
    // In one step: whoever still keeps a tree equal sees that it is gone, not that all in it was deleted.
    match std::fs::rename(&trees, &going) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed.trying(|| format!("cannot move {} away", trees.display()))?,
    }
    remove_tree_if_exists(&going)
}

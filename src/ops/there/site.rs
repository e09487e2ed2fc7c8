//! A project of this computer that runs elsewhere: where its state is, here and there.

use super::elsewhere::Elsewhere;
use super::far::Far;
use super::keeper::{Hello, Keeper};
use super::up;
use crate::config;
use crate::model::call::{Caller, ProjectCalled};
use crate::model::there::ThereRequest;
use crate::model::{Project, ProjectId, Result, SyncMode};
use crate::state::{TherePaths, ThereRecord};
use crate::sys::environment;
use crate::sys::fs::{Lock, lock};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

/// A project, and the place it is in.
pub struct Site<'a> {
    pub elsewhere: &'a Elsewhere<'a>,
    /// Folder of `devenv.toml`.
    pub folder: PathBuf,
    /// Its identity over there.
    pub id: ProjectId,
    pub paths: TherePaths,
    /// What this command has said of the sync already: it flushes before and after.
    pub told: Mutex<BTreeSet<String>>,
}

impl<'a> Site<'a> {
    /// The project the caller stands in.
    ///
    /// # Errors
    /// There is none.
    pub fn open(elsewhere: &'a Elsewhere<'a>) -> Result<Site<'a>> {
        let layout = &elsewhere.origin.layout;
        let from = &elsewhere.context.folder;
        let folder = match config::find(from) {
            Ok(folder) => folder,
            // Its file is gone, but not what was made of it.
            Err(failure) => {
                let is_known = |folder: &&std::path::Path| layout.there(folder, &elsewhere.place).folder().exists();
                from.ancestors().find(is_known).map(PathBuf::from).ok_or(failure)?
            }
        };
        let id = ProjectId::of_folder_elsewhere(&layout.computer()?, &folder);
        let paths = layout.there(&folder, &elsewhere.place);
        Ok(Site { elsewhere, folder, id, paths, told: Mutex::default() })
    }

    /// The project as its files want it.
    ///
    /// # Errors
    /// All that is wrong in them.
    pub fn load(&self) -> Result<Project> {
        Ok(config::load(&self.folder, &environment::variable)?.project)
    }

    /// What is known of it here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn record(&self) -> Result<Option<ThereRecord>> {
        ThereRecord::read(&self.paths)
    }

    /// Whether it may have boxes over there: also where what was known of it here is lost.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_known(&self) -> Result<bool> {
        Ok(self.record()?.is_some() || self.paths.record().exists())
    }

    /// Who calls, with the project, whose ports are published here and not there.
    ///
    /// # Errors
    /// As [`Elsewhere::caller`].
    pub fn caller(&self, wanted: Option<&Project>) -> Result<Caller> {
        let mounts = wanted.iter().flat_map(|project| &project.boxes).flat_map(|wanted| &wanted.mounts);
        let files = mounts.filter(|mount| mount.source.is_file()).map(|mount| mount.source.clone()).collect();
        let wanted = wanted.cloned().map(|mut project| {
            project.id = self.id.clone();
            project.boxes.iter_mut().for_each(|wanted| wanted.ports.clear());
            project
        });
        self.elsewhere.caller(Some(ProjectCalled { id: self.id.clone(), folder: self.folder.clone(), wanted, files }))
    }

    /// The far side by way of the project's keeper, which is brought back when it is lost; where nothing of the project
    /// is there, by a connection of our own. For those who do not hold the project's lock.
    ///
    /// # Errors
    /// The place cannot be reached.
    pub async fn far(&self) -> Result<Far> {
        if let Some(kept) = self.kept().await {
            return Ok(kept);
        }
        let _lock = self.record()?.is_some().then(|| self.lock()).transpose()?;
        self.far_locked().await
    }

    /// As [`Site::far`], for those who hold the lock.
    ///
    /// # Errors
    /// As there.
    pub async fn far_locked(&self) -> Result<Far> {
        if let Some(kept) = self.kept().await {
            return Ok(kept);
        }
        match self.record()?.and_then(|record| Some((record.wanted?, record.ports))) {
            Some((wanted, ports)) => {
                let mut keeper = Keeper::ensure(self).await?;
                let sync = ThereRequest::Sync { mounts: up::mounts(&wanted) };
                keeper.ask(&sync, &*self.elsewhere.context.events).await?;
                up::publish(self, &mut keeper, &wanted, &ports).await?;
                Ok(Far::Kept(self.paths.keeper_socket()))
            }
            None => Far::reach(self.elsewhere).await,
        }
    }

    /// The project's keeper, when it answers. One of another build gives way to a new one.
    async fn kept(&self) -> Option<Far> {
        let socket = self.paths.keeper_socket();
        Keeper::find(&socket).await.filter(Hello::is_of_this_build).map(|_| Far::Kept(socket))
    }

    /// Waits until all that was saved is on both sides, where something is kept equal and somebody did not say `pause`.
    ///
    /// # Errors
    /// It cannot be.
    pub async fn flush(&self) -> Result<()> {
        let wanted = self.record()?.and_then(|record| record.wanted);
        if wanted.is_none_or(|wanted| up::mounts(&wanted).iter().all(|mount| mount.sync == SyncMode::None)) {
            return Ok(());
        }
        match Keeper::connect(&self.paths.keeper_socket()).await? {
            Some(mut keeper) => up::sync(self, &mut keeper, &ThereRequest::Flush { unpaused: true }).await,
            None => Ok(()),
        }
    }

    /// Waits for whoever changes this project now, and keeps others waiting.
    ///
    /// # Errors
    /// The project's folder cannot be made.
    pub fn lock(&self) -> Result<Lock> {
        loop {
            self.paths.make()?;
            let held = lock(&self.paths.lock(), || {
                self.elsewhere.context.events.note("waiting for another devenv that works on this project");
            });
            // `down` removes the folder with the lock in it.
            match held {
                Ok(held) if held.is_at(&self.paths.lock()) => return Ok(held),
                Err(failure) if self.paths.folder().exists() => return Err(failure),
                _ => {}
            }
        }
    }
}

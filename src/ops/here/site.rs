//! A project on this computer: who we are, where its state is, and what there is of it now.

use super::super::plan::Actual;
use super::given::CallerSettings;
use super::making;
use super::net;
use crate::config;
use crate::engine::ids::{self, IdMode};
use crate::model::call::{Caller, Person};
use crate::model::supply::Supply;
use crate::model::{BoxName, Failure, Host, Mount, Project, ProjectId, Result, Settings};
use crate::ops::Context;
pub use crate::ops::computer::find_program;
use crate::ops::computer::host;
use crate::state::record::box_names;
use crate::state::{BoxRecord, Layout, ProjectPaths, ProjectRecord};
use crate::sys::environment;
use crate::sys::fs::{Lock, lock};
use crate::sys::linux::pidfd::Process;
use crate::sys::linux::signal;
use crate::sys::linux::userns::{self, IdMap};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// This computer and this user, before any project.
pub struct Computer {
    pub host: Host,
    pub layout: Layout,
    /// Whose boxes they are: the account itself, or in the managed VM somebody of the computer it serves.
    pub person: Person,
    /// What a caller elsewhere said; `None`: the account's own.
    caller_settings: Option<CallerSettings>,
    /// What the caller has and this computer lacks; `None`: it is this computer's own user.
    pub supply: Option<Arc<dyn Supply>>,
    /// Looked up when first asked for: entering a box needs none of it.
    ids: OnceCell<(IdMap, IdMode)>,
}

impl Computer {
    /// Looks at the user's account and folders.
    ///
    /// # Errors
    /// No home folder is known.
    pub fn look(caller: Option<&Caller>) -> Result<Computer> {
        let host = host();
        let layout = Layout::find(&host)?;
        let own = || Person { name: host.user_name.clone(), uid: host.uid, gid: host.gid };
        let person = caller.and_then(|caller| caller.person.clone()).unwrap_or_else(own);
        let caller_settings = caller.map(CallerSettings::take).transpose()?;
        Ok(Computer { host, layout, person, caller_settings, supply: None, ids: OnceCell::new() })
    }

    /// The same for whoever wants something done.
    ///
    /// # Errors
    /// As [`Computer::look`].
    pub fn of(context: &Context) -> Result<Computer> {
        let computer = Computer::look(context.caller.as_ref())?;
        Ok(Computer { supply: context.supply.clone(), ..computer })
    }

    /// The settings of whoever calls.
    ///
    /// # Errors
    /// All that is wrong in the file.
    pub fn settings(&self) -> Result<Settings> {
        match &self.caller_settings {
            Some(given) => Ok(given.settings.clone()),
            None => config::load_settings(self.layout.settings()),
        }
    }

    /// The id map of this user's boxes. First asked before a user namespace is entered: inside it the answers differ.
    pub fn map(&self) -> &IdMap {
        &self.ids().0
    }

    /// How many ids boxes have.
    pub fn mode(&self) -> IdMode {
        self.ids().1
    }

    pub fn has_single_id(&self) -> bool {
        self.mode() == IdMode::Single
    }

    fn ids(&self) -> &(IdMap, IdMode) {
        self.ids.get_or_init(|| {
            let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
            let has_tools = ["newuidmap", "newgidmap"].iter().all(|tool| find_program(tool).is_some());
            ids::choose(
                &self.host,
                &text("/etc/subuid"),
                &text("/etc/subgid"),
                &text("/proc/self/uid_map"),
                &text("/proc/self/gid_map"),
                has_tools,
            )
        })
    }
}

/// How long the kernel may take to end a killed box.
const STRAY_PATIENCE: Duration = Duration::from_secs(10);

/// A project and its state on this computer.
pub struct Site<'a> {
    pub context: &'a Context,
    pub computer: Computer,
    /// Folder of `devenv.toml`.
    pub folder: PathBuf,
    pub id: ProjectId,
    pub paths: ProjectPaths,
}

/// What is known of one box.
pub struct KnownBox {
    pub record: BoxRecord,
    /// Its first process, when it lives.
    pub process: Option<Process>,
}

impl<'a> Site<'a> {
    /// The project the caller stands in.
    ///
    /// # Errors
    /// There is none.
    pub fn open(context: &'a Context) -> Result<Site<'a>> {
        let computer = Computer::of(context)?;
        if let Some(called) = context.caller.as_ref().and_then(|caller| caller.project.as_ref()) {
            let paths = computer.layout.project(&called.id);
            return Ok(Site { context, computer, folder: called.folder.clone(), id: called.id.clone(), paths });
        }
        let folder = match config::find(&context.folder) {
            Ok(folder) => folder,
            // Its file is gone, but not what was made of it: that can still be looked at and removed.
            Err(failure) => made_before(&computer.layout, &context.folder).ok_or(failure)?,
        };
        let id = ProjectId::of_folder(&folder);
        let paths = computer.layout.project(&id);
        Ok(Site { context, computer, folder, id, paths })
    }

    /// The project as its files want it.
    ///
    /// # Errors
    /// All that is wrong in them.
    pub fn load(&self) -> Result<Project> {
        if let Some(called) = self.context.caller.as_ref().and_then(|caller| caller.project.as_ref()) {
            let missing = || Failure::new("the project's files are wrong where they are");
            return called.wanted.clone().ok_or_else(missing);
        }
        Ok(config::load(&self.folder, &environment::variable)?.project)
    }

    /// Where on this computer the source of a mount is: itself, or the tree kept equal to it for a caller elsewhere.
    pub fn source_of(&self, mount: &Mount) -> PathBuf {
        let Some(caller) = &self.context.caller else { return mount.source.clone() };
        let tree = self.computer.layout.tree(&self.id, &mount.source);
        let is_file = caller.project.iter().any(|called| called.files.contains(&mount.source));
        match mount.source.file_name().filter(|_| is_file) {
            Some(name) => tree.join(name),
            None => tree,
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
                self.context.events.note("waiting for another devenv that works on this project");
            });
            // `down` removes the folder with the lock in it: what we hold may be nobody's lock any more, and what we
            // wanted to open may be gone.
            match held {
                Ok(held) if held.is_at(&self.paths.lock()) => {
                    self.paths.make()?;
                    return Ok(held);
                }
                Err(failure) if self.paths.folder().exists() => return Err(failure),
                _ => {}
            }
        }
    }

    pub fn record(&self) -> Result<Option<ProjectRecord>> {
        ProjectRecord::read(&self.paths)
    }

    /// As [`boxes_of`], for this project.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn boxes(&self) -> Result<BTreeMap<BoxName, KnownBox>> {
        boxes_of(&self.paths)
    }

    /// As [`Site::boxes`], for those who hold the lock. Brings to an end what a killed `devenv` left in between: boxes
    /// that run and that no record tells of, and boxes that were asked to stop. Boxes that are just dying are waited
    /// for.
    ///
    /// # Errors
    /// A record cannot be read, or such a box does not end.
    pub fn own_boxes(&self) -> Result<BTreeMap<BoxName, KnownBox>> {
        let mut boxes = self.boxes()?;
        for known in boxes.values_mut() {
            if known.process.as_ref().is_some_and(|process| process.is_ending() && process.wait(STRAY_PATIENCE)) {
                known.process = None;
            }
            if known.is_running() && known.record.stopped {
                making::stop(self, known)?;
            }
        }
        for name in box_names(&self.paths)? {
            let recorded = boxes.get(&name).and_then(|known| known.record.life.as_ref()).map(|life| &life.init);
            let born = making::born(&self.paths.a_box(&name)).filter(|born| Some(born) != recorded);
            let Some(stray) = born.and_then(|born| born.open()) else { continue };
            stray.signal(signal::KILL);
            if !stray.wait(STRAY_PATIENCE) {
                return Err(Failure::new(format!("a lost box {name}, process {}, does not end", stray.pid())));
            }
        }
        Ok(boxes)
    }

    /// Enters the project's user namespace: that of its live processes, or a new one. Nothing may have started a
    /// thread before.
    ///
    /// # Errors
    /// The kernel forbids user namespaces, or the ids cannot be mapped.
    pub fn enter(&self, boxes: &BTreeMap<BoxName, KnownBox>) -> Result<()> {
        let map = self.computer.map();
        let keeper = net::keeper(self);
        let live = boxes.values().filter_map(|known| known.process.as_ref()).chain(keeper.as_ref());
        for process in live {
            if userns::join(process.pid()).is_ok() {
                return Ok(());
            }
        }
        userns::enter_new(map)
    }
}

/// The nearest folder, from `from` upwards, of whose project anything is left here.
fn made_before(layout: &Layout, from: &Path) -> Option<PathBuf> {
    let is_known = |folder: &&Path| layout.project(&ProjectId::of_folder(folder)).folder().exists();
    from.ancestors().find(is_known).map(Path::to_owned)
}

impl KnownBox {
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// For the plan.
    pub fn actual(&self) -> Actual {
        Actual { wanted: self.record.wanted.clone(), digest: self.record.digest.clone(), running: self.is_running() }
    }
}

/// Every box of which anything is left. A box whose record was lost counts as nothing.
///
/// # Errors
/// A record cannot be read.
pub fn boxes_of(paths: &ProjectPaths) -> Result<BTreeMap<BoxName, KnownBox>> {
    let mut known = BTreeMap::new();
    for name in box_names(paths)? {
        if let Some(record) = BoxRecord::read(&paths.a_box(&name))? {
            let process = record.life.as_ref().and_then(|life| life.init.open());
            known.insert(name, KnownBox { record, process });
        }
    }
    Ok(known)
}

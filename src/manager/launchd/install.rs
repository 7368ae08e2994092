//! Puts the hub's property list where launchd looks at boot or login, and takes it away again: a
//! plan that can be shown, then its steps. Installing never starts or stops anything.

use super::{
    Launchd, bounded,
    ctl::within,
    file::{self, OnDisk},
    is_unreachable, plist, program,
};
use crate::{
    error::{Code, Error, Result},
    home::{Home, rel},
    manager::{Scope, Unit},
};
use ::plist::Dictionary;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What would be done, and what a person should know first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order; none when all is as it should be.
    pub steps: Vec<Step>,
    /// Said before anything is done.
    pub notes: Vec<String>,
    /// What is there now runs a hub of other make, which would be replaced.
    pub replaces_other: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes a folder, its parents too.
    Folder(PathBuf),
    /// Makes the hub's log, which launchd opens but makes no folder for.
    Log(Home),
    /// Writes a file by temp file and rename.
    Write {
        /// Which.
        path: PathBuf,
        /// What it says now, as XML.
        before: Option<String>,
        /// What it would say.
        after: String,
    },
    /// Ends the hub and has launchd let go of it.
    Stop,
    /// Removes a file.
    Remove {
        /// Which.
        path: PathBuf,
        /// What it says now, as XML.
        before: Option<String>,
    },
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Launchd {
    /// What it takes for `unit` to be there and to start at boot or login.
    pub async fn plan_install(&self, unit: &Unit) -> Result<Plan> {
        for (what, path) in [
            ("the program", unit.binary.as_path()),
            ("the home", unit.home.root()),
        ] {
            if !path.is_absolute() {
                let message = format!(
                    "{what} must be given by its absolute path: {}",
                    path.display()
                );
                return Err(Error::new(Code::Usage, message));
            }
        }
        let path = self.place.plist();
        let mut plan = Plan::default();
        let old = self.old(&path, &mut plan)?;
        let kept = old.as_ref().filter(|_| !plan.replaces_other);
        let after = plist::render_at(&self.place, unit, kept)?;
        let after = String::from_utf8_lossy(&after).into_owned();
        let before = old.as_ref().map(shown).transpose()?;
        let sound = matches!(file::look(&self.place), OnDisk::Usable(_)) && !is_link(&path);
        if !self.place.folder().is_dir() {
            plan.steps
                .push(Step::Folder(self.place.folder().to_owned()));
        }
        let log = self.place.log(&unit.home);
        if let Some(folder) = log.parent().filter(|folder| !folder.is_dir()) {
            plan.steps.push(match self.place.scope {
                Scope::User => Step::Log(unit.home.clone()),
                Scope::System => Step::Folder(folder.to_owned()),
            });
        }
        if before.as_deref() != Some(&after) || !sound {
            plan.steps.push(Step::Write {
                path,
                before,
                after,
            });
        }
        self.note_disabled(&mut plan).await?;
        Ok(plan)
    }

    /// What it takes for the unit to be gone, the hub ended with it.
    pub async fn plan_remove(&self) -> Result<Plan> {
        let path = self.place.plist();
        let mut plan = Plan::default();
        let found = self.seek(within(self.patience.call)).await?;
        if !found.jobs.is_empty() || found.odd.is_some() {
            plan.steps.push(Step::Stop);
        }
        let before = self
            .old(&path, &mut plan)?
            .as_ref()
            .map(shown)
            .transpose()?;
        if path.symlink_metadata().is_ok() {
            plan.steps.push(Step::Remove { path, before });
        }
        Ok(plan)
    }

    /// Carries out a plan; a step that fails ends it, what was done before stays.
    pub async fn apply(&self, plan: &Plan) -> Result<()> {
        for step in &plan.steps {
            match step {
                Step::Folder(path) => fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(path)
                    .map_err(|e| Error::io("make", path, &e))?,
                Step::Log(home) => drop(crate::os::files::append(home, rel::HUB_LOG, 0o640)?),
                Step::Write { path, after, .. } => {
                    replace(path, after.as_bytes()).map_err(|e| Error::io("write", path, &e))?;
                }
                Step::Stop => self.stop_hub("remove").await?,
                Step::Remove { path, .. } => match fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io("remove", path, &e));
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// What is there now, with what is odd about it said in the plan.
    fn old(&self, path: &Path, plan: &mut Plan) -> Result<Option<Dictionary>> {
        if let Ok(target) = fs::read_link(path) {
            let (link, target) = (path.display(), target.display());
            plan.notes.push(format!(
                "{link} is a link to {target}: the link goes, its target stays"
            ));
        }
        let bytes = match file::open(path) {
            Ok(None) => return Ok(None),
            Ok(Some((bytes, _))) => bytes,
            Err(e) if is_link(path) && e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path, &e)),
        };
        match plist::read(&bytes) {
            Ok(dict) => {
                let job = plist::job(&dict);
                plan.replaces_other =
                    job.is_ok_and(|job| !program::is_ours(&job.arguments, &self.exe));
                Ok(Some(dict))
            }
            Err(why) => {
                plan.notes
                    .push(format!("{} cannot be kept: {why}", path.display()));
                Ok(None)
            }
        }
    }

    /// A person's word is left standing.
    async fn note_disabled(&self, plan: &mut Plan) -> Result<()> {
        let until = within(self.patience.call);
        let found = match self.seek(until).await {
            Ok(found) => found,
            // The file can be written all the same; the start will say it again.
            Err(error) if is_unreachable(&error) => {
                plan.notes.push(error.message);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(domain) = found.there.first()
            && self.overridden(*domain, until).await? == Some(true)
        {
            let target = domain.target();
            plan.notes.push(format!(
                "somebody has disabled the hub in launchd; it stays so until `launchctl enable {target}`"
            ));
        }
        Ok(())
    }
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_symlink())
}

/// As XML, whichever way it is written.
fn shown(dict: &Dictionary) -> Result<String> {
    plist::xml(dict).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whole or not at all, mode 0644. The temp name does not end in `.plist`: at a login in between,
/// launchd would load it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    debug_assert!(bytes.len() <= bounded::FILE_LIMIT);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let temp = folder.join(format!(
        ".{}.{}",
        super::LABEL,
        uuid::Uuid::new_v4().simple()
    ));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temp)?;
        // The umask may have taken more than launchd needs.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        File::open(folder)?.sync_all()
    };
    let done = write();
    if done.is_err() {
        fs::remove_file(&temp).ok();
    }
    done
}

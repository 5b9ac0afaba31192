//! A walk through the directory of a store: few directories are open at once, and no more is kept than a page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{DiskStore, TOP, blocking, fault, part, remove_empty_parents};
use crate::storage::survey::{Found, PAGE, What};
use crate::storage::{ObjectKey, StorageError};

/// Entries of directories that are looked at for one page, ours or not.
const ENTRIES: usize = 10 * PAGE;
/// `m/<job>/<fence>`: files lie in directories of this depth.
const DEPTH: usize = 3;

/// Where a walk is.
#[derive(Debug)]
pub(in crate::storage) struct Walk {
    objects: PathBuf,
    /// From the top down; none: at the end.
    open: Vec<fs::ReadDir>,
    has_begun: bool,
}

impl DiskStore {
    pub(in crate::storage) fn walk(&self) -> Walk {
        Walk { objects: self.objects.clone(), open: Vec::new(), has_begun: false }
    }

    pub(in crate::storage) async fn remove(&self, found: &Found) -> Result<(), StorageError> {
        let (objects, found) = (self.objects.clone(), found.clone());
        let object = self.path(&found.key);
        blocking(move || {
            let path = if found.what == What::Part { part::beside(&object) } else { object };
            match about(&path)? {
                Some((_, modified)) if modified == found.modified => {}
                // gone already, or another one by now
                _ => return Ok(()),
            }
            fs::remove_file(&path)?;
            remove_empty_parents(&objects, &path);
            Ok(())
        })
        .await
        .map_err(fault)
    }
}

impl Walk {
    /// The next page, and the walk that goes on behind it.
    pub(in crate::storage) async fn page(mut self) -> Result<(Self, Option<Vec<Found>>), StorageError> {
        blocking(move || {
            let page = self.read()?;
            Ok((self, page))
        })
        .await
        .map_err(fault)
    }

    fn read(&mut self) -> io::Result<Option<Vec<Found>>> {
        if !self.has_begun {
            self.has_begun = true;
            self.enter(&self.objects.join(TOP))?;
        }
        if self.open.is_empty() {
            return Ok(None);
        }
        let mut page = Vec::new();
        for _ in 0..ENTRIES {
            let Some(dir) = self.open.last_mut() else { break };
            match dir.next().transpose()? {
                None => drop(self.open.pop()),
                // a link is followed nowhere
                Some(entry) if self.open.len() < DEPTH && entry.file_type()?.is_dir() => self.enter(&entry.path())?,
                Some(entry) if self.open.len() == DEPTH => page.extend(found(&self.objects, &entry.path())?),
                Some(_) => {}
            }
            if page.len() == PAGE {
                break;
            }
        }
        Ok(Some(page))
    }

    fn enter(&mut self, dir: &Path) -> io::Result<()> {
        match fs::read_dir(dir) {
            Ok(entries) => self.open.push(entries),
            // removed meanwhile
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What this file is, if it is ours.
fn found(objects: &Path, path: &Path) -> io::Result<Option<Found>> {
    let Some(name) = path.strip_prefix(objects).ok().and_then(Path::to_str) else { return Ok(None) };
    let (name, what) = name.strip_suffix(".part").map_or((name, What::Object), |name| (name, What::Part));
    let Ok(key) = ObjectKey::parse(name) else { return Ok(None) };
    Ok(about(path)?.map(|(size_bytes, modified)| Found { key, size_bytes, modified, what }))
}

/// Size and time of a regular file, if there is one.
fn about(path: &Path) -> io::Result<Option<(u64, Timestamp)>> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        about => about?,
    };
    let modified = Timestamp::try_from(about.modified()?).ok();
    Ok(modified.filter(|_| about.is_file()).map(|modified| (about.len(), modified)))
}

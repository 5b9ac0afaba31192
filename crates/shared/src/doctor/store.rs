//! The store of results, as the process will use it: a directory is written and read by an object that is removed again. A
//! bucket is in `bucket`.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::time::timeout;

use super::place::{self, written};
use super::{Check, Finding, bucket};
use crate::config::StorageConfig;
use crate::ids::{Fence, JobId};
use crate::storage::{DiskStore, ObjectKey, ObjectMeta, Role, Storage, StorageError};

const DIRECTORY: &str = "store.directory";
const WRITE: &str = "store.write";
/// For each step.
const STEP: Duration = Duration::from_secs(5);
/// For all of them.
const WITHIN: Duration = Duration::from_secs(30);
/// Nothing can be stored with less.
const LEAST_FREE: u64 = 64 << 20;
/// Less is soon used up.
const GOOD_FREE: u64 = 2 << 30;

/// Whether this process can do with the store what it will have to. `sweeps`: whether workers look for what was left in it
/// (`HAUL_ORPHAN_SWEEP`), as far as this process knows.
#[must_use]
pub fn store(config: &StorageConfig, role: Role, sweeps: bool) -> Check {
    match config.clone() {
        StorageConfig::Disk { data_dir, .. } => Check::new(DIRECTORY, WITHIN, directory(data_dir, role)),
        StorageConfig::S3 { public_endpoint, .. } => bucket::check(config.clone(), role, public_endpoint, sweeps),
    }
}

async fn directory(data_dir: Utf8PathBuf, role: Role) -> Vec<Finding> {
    let store = DiskStore::as_it_is(data_dir.as_std_path());
    let (objects, is_worker) = (store.objects().to_owned(), matches!(role, Role::Worker));
    let looked = tokio::task::spawn_blocking(move || {
        let found = if objects.is_dir() { readable(&objects) } else { to_be_made(&data_dir, &objects) };
        let space = is_worker.then(|| {
            let remedy = "make room there, lower HAUL_RESULT_TTL, or put HAUL_DATA_DIR on a larger disk";
            place::room("store.space", &objects, (LEAST_FREE, GOOD_FREE), remedy)
        });
        (found, space, objects.is_dir())
    });
    let Ok((found, space, is_there)) = looked.await else {
        return vec![Finding::fail(DIRECTORY, "the look at it has broken", "set HAUL_DATA_DIR otherwise")];
    };
    let tried = if is_worker && is_there { Some(try_out(&Storage::Disk(store)).await) } else { None };
    std::iter::once(found).chain(tried).chain(space).collect()
}

fn readable(objects: &Path) -> Finding {
    match std::fs::read_dir(objects) {
        Ok(_) => Finding::ok(DIRECTORY, format_args!("{} is there", objects.display())),
        Err(error) => {
            let remedy = format!("let this user read and write there: chown -R $(id -u) {}", objects.display());
            Finding::fail(DIRECTORY, format_args!("{} cannot be read: {error}", objects.display()), remedy)
        }
    }
}

/// Where a start would make it.
fn to_be_made(data_dir: &Utf8PathBuf, objects: &Path) -> Finding {
    match written(objects) {
        Ok(()) => Finding::ok(DIRECTORY, format_args!("{data_dir} is made ready at the first start")),
        Err(error) => Finding::fail(
            DIRECTORY,
            format_args!("{data_dir} cannot be written: {error}"),
            format_args!("mkdir -p {data_dir} && chown $(id -u) {data_dir}, or set HAUL_DATA_DIR otherwise"),
        ),
    }
}

/// An object from its making to its end.
async fn try_out(store: &Storage) -> Finding {
    let object = ObjectKey::new(JobId::new(), Fence(0), "probe");
    let tried = put_and_read(store, &object).await;
    let removed =
        timeout(STEP, store.delete(&object)).await.unwrap_or_else(|late| Err(StorageError::Unavailable(late.into())));
    match tried.and(removed) {
        Ok(()) => Finding::ok(WRITE, "an object was written, synced, renamed, read and removed"),
        // not the store's: what was to be stored could not be made
        Err(StorageError::File(error)) => Finding::fail(
            WRITE,
            format_args!("it was not tried, for no temporary file can be made: {error}"),
            "make room in /tmp and let this user write there, or name another folder in TMPDIR",
        ),
        Err(error) => {
            let why = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            let remedy = match error {
                StorageError::Full => "make room on its disk, or lower HAUL_RESULT_TTL",
                StorageError::NotFound
                | StorageError::RangeOutside
                | StorageError::Refused(_)
                | StorageError::Unavailable(_)
                | StorageError::File(_) => {
                    "let this user write to the folder objects in HAUL_DATA_DIR (chown -R), on a file system that can rename and sync"
                }
            };
            Finding::fail(WRITE, format_args!("no object can be written: {error}{why}"), remedy)
        }
    }
}

async fn put_and_read(store: &Storage, object: &ObjectKey) -> Result<(), StorageError> {
    let late = |late: tokio::time::error::Elapsed| StorageError::Unavailable(late.into());
    let file = tempfile::NamedTempFile::new().map_err(StorageError::File)?;
    file.as_file().write_all(b"written by haul's doctor, and removed again").map_err(StorageError::File)?;
    let meta = ObjectMeta { content_type: "text/plain".to_owned(), sha256: "0".repeat(64) };
    timeout(STEP, store.put(object, file.path(), &meta, |_| {})).await.map_err(late)??;
    timeout(STEP, store.open(object, None)).await.map_err(late)?.map(drop)
}

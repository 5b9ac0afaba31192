//! An object on disk while it is being made: linked or copied beside its place, made durable, then renamed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{blocking, fault, make_directories, remove_empty_parents};
use crate::storage::{StorageError, size_of};

/// How much is copied at once, in bytes.
const COPY_CHUNK: usize = 1024 * 1024;

/// The file that becomes `object`. One name per object is enough: an object's key belongs to one attempt.
pub(super) fn beside(object: &Path) -> PathBuf {
    object.with_added_extension("part")
}

/// Stores `file` as `object`, below `objects`.
pub(super) async fn put(
    objects: &Path,
    object: &Path,
    file: &Path,
    uploaded: impl Fn(u64) + Send + Sync,
) -> Result<(), StorageError> {
    let size_bytes = size_of(file).await?;
    let part = Part { objects: objects.to_owned(), object: object.to_owned() };

    let (source, place) = (file.to_owned(), object.to_owned());
    match blocking(move || begin(&source, &place)).await.map_err(fault)? {
        Begun::Linked => {}
        Begun::Empty(target) => copy(file, target, &uploaded).await?,
    }

    let (top, place) = (objects.to_owned(), object.to_owned());
    blocking(move || finish(&top, &place)).await.map_err(fault)?;
    drop(part);
    uploaded(size_bytes);
    Ok(())
}

/// Removes what is left of a part, also when its maker fails or is dropped.
struct Part {
    objects: PathBuf,
    object: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // after the rename there is none, and the directories are not empty
        let _gone = fs::remove_file(beside(&self.object));
        remove_empty_parents(&self.objects, &self.object);
    }
}

enum Begun {
    /// The part is the file itself under a second name.
    Linked,
    /// The file is in another file system: its bytes are to be copied.
    Empty(fs::File),
}

fn begin(file: &Path, object: &Path) -> io::Result<Begun> {
    let part = beside(object);
    let mut tries = 3;
    loop {
        make_directories(object.parent().expect("an object lies in a directory"))?;
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if fs::hard_link(file, &part).is_ok() {
            return Ok(Begun::Linked);
        }
        match fs::File::create_new(&part) {
            // the end of another attempt took the still empty directory away
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries > 0 => tries -= 1,
            created => return created.map(Begun::Empty),
        }
    }
}

async fn copy(file: &Path, target: fs::File, uploaded: impl Fn(u64)) -> Result<(), StorageError> {
    let mut source = tokio::fs::File::open(file).await.map_err(StorageError::File)?;
    let mut target = tokio::fs::File::from_std(target);
    let mut chunk = vec![0; COPY_CHUNK];
    let mut done = 0;
    loop {
        let read = source.read(&mut chunk).await.map_err(StorageError::File)?;
        if read == 0 {
            return target.flush().await.map_err(fault);
        }
        target.write_all(&chunk[..read]).await.map_err(fault)?;
        done += read as u64;
        uploaded(done);
    }
}

fn finish(objects: &Path, object: &Path) -> io::Result<()> {
    let part = beside(object);
    let file = fs::File::open(&part)?;
    // a linked file has the time of its last byte, or whatever whoever wrote it has made of that
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    match futimens(&file, &Timestamps { last_access: now, last_modification: now }) {
        // a file system that keeps no times
        Ok(()) | Err(Errno::NOSYS | Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    file.sync_all()?;
    fs::rename(&part, object)?;
    // the name, and the names of the directories on the way to it
    for parent in object.ancestors().skip(1) {
        fs::File::open(parent)?.sync_all()?;
        if parent == objects {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[tokio::test]
    async fn an_object_is_as_old_as_its_place_in_the_store_and_not_as_its_file_says() {
        let top = tempfile::tempdir().expect("a directory");
        for said in [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(1 << 30)] {
            let (file, object) = (top.path().join("scratch"), top.path().join("objects/m/a/media.mp4"));
            fs::write(&file, "film").expect("writable");
            fs::File::open(&file).and_then(|file| file.set_modified(said)).expect("ours");
            let other = top.path().join("other");
            fs::write(&other, "").expect("writable");
            put(&top.path().join("objects"), &object, &file, |_| {}).await.expect("stored");
            let [stored, written] =
                [&object, &other].map(|path| fs::metadata(path).and_then(|it| it.modified()).expect("there"));
            assert!(stored >= written && stored <= SystemTime::now(), "{said:?}: {stored:?}");
        }
    }

    #[tokio::test]
    async fn a_file_of_the_same_file_system_is_not_copied() {
        use std::os::unix::fs::MetadataExt as _;
        let top = tempfile::tempdir().expect("a directory");
        let (file, object) = (top.path().join("scratch"), top.path().join("objects/m/a/media.mp4"));
        fs::write(&file, "film").expect("writable");
        // twice: an answer that was lost is asked for again
        for _ in 0..2 {
            put(&top.path().join("objects"), &object, &file, |_| {}).await.expect("stored");
            let [made, source] = [&object, &file].map(|path| fs::metadata(path).expect("there").ino());
            assert_eq!(made, source);
            assert!(!beside(&object).exists());
        }
    }
}

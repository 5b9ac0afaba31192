//! Where a file goes: under its name, or the next one that is free. Nothing that is there is replaced unless asked for.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempPath;

use crate::error::Error;
use crate::name::numbered;
use crate::wire::Digest;

/// Names that are tried.
const MOST_NAMES: u32 = 1000;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// A folder and a name in it.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
    name: String,
    replaces: bool,
}

impl Place {
    /// A name in a folder; `replaces`: whatever is there.
    #[must_use]
    pub fn new(dir: &Path, name: String, replaces: bool) -> Self {
        Self { dir: dir.to_owned(), name, replaces }
    }

    /// Where the file grows until it is whole: beside its place, by a name that says which bytes it is to have, so that
    /// parts of different results never become one file.
    #[must_use]
    pub fn part(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.{}.part", self.name, digest.short()))
    }

    /// A file that has these bytes already, under the name or one with a number. Blocks.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn holds(&self, size_bytes: u64, digest: &Digest) -> Result<Option<PathBuf>, Error> {
        for path in self.names() {
            match fs::metadata(&path) {
                Ok(there) if there.is_file() && there.len() == size_bytes => {
                    let mut hash = Sha256::new();
                    let read = File::open(&path).and_then(|file| hash_of(file, &mut hash));
                    read.map_err(|error| Error::file(&path, error))?;
                    if Digest::of(hash) == *digest {
                        return Ok(Some(path));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(Error::file(&path, error)),
            }
        }
        Ok(None)
    }

    /// Moves a whole file here, in one step, and says what it is called. Blocks.
    ///
    /// # Errors
    /// When the system refuses; then the file stays where it is.
    pub fn take(&self, whole: &Path) -> Result<PathBuf, Error> {
        for path in self.names() {
            let moved = if self.replaces { fs::rename(whole, &path) } else { rename_if_free(whole, &path) };
            match moved {
                Ok(()) => {
                    // so that the name outlives a loss of power; where folders can't be synced it is as it is
                    let _synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
                    return Ok(path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !self.replaces => {}
                Err(error) => return Err(Error::file(&path, error)),
            }
        }
        Err(Error::file(&self.dir.join(&self.name), io::ErrorKind::AlreadyExists.into()))
    }

    fn names(&self) -> impl Iterator<Item = PathBuf> {
        let most = if self.replaces { 1 } else { MOST_NAMES };
        (0..most).map(|number| self.dir.join(numbered(&self.name, number)))
    }
}

/// Renames without replacing anything, on whatever file system.
fn rename_if_free(from: &Path, to: &Path) -> io::Result<()> {
    let part = TempPath::try_from_path(from)?;
    part.persist_noclobber(to).map_err(|failed| {
        // dropped, it would remove the file
        match failed.path.keep() {
            Ok(_) => failed.error,
            Err(kept) => kept.error,
        }
    })
}

/// Adds a file's bytes, from where it stands, to a hash, and says how many they are.
///
/// # Errors
/// When it can't be read.
pub fn hash_of(mut file: impl io::Read, hash: &mut Sha256) -> io::Result<u64> {
    let (mut piece, mut total) = (vec![0; PIECE], 0);
    loop {
        match file.by_ref().read(&mut piece) {
            Ok(0) => return Ok(total),
            Ok(read) => {
                hash.update(&piece[..read]);
                total += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest::of(Sha256::new_with_prefix(bytes))
    }

    #[test]
    fn a_file_takes_the_next_free_name_and_replaces_only_when_asked_to() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        let put = |bytes: &[u8], replaces: bool| {
            fs::write(&part, bytes).unwrap();
            let taken = Place::new(dir.path(), "talk.mp4".to_owned(), replaces).take(&part).unwrap();
            assert!(!part.exists());
            taken.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            [put(b"a", false), put(b"b", false), put(b"c", false)],
            ["talk.mp4", "talk (1).mp4", "talk (2).mp4"]
        );
        assert_eq!(put(b"d", true), "talk.mp4");
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!([read("talk.mp4"), read("talk (1).mp4")], [b"d", b"b"]);
    }

    #[test]
    fn what_is_there_already_is_known_by_its_bytes_under_whatever_number() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "talk.mp4".to_owned(), false);
        fs::write(dir.path().join("talk.mp4"), b"another").unwrap();
        fs::write(dir.path().join("talk (1).mp4"), b"thebits").unwrap();
        let found = place.holds(7, &digest(b"thebits")).unwrap();
        assert_eq!(found, Some(dir.path().join("talk (1).mp4")));
        assert_eq!(place.holds(7, &digest(b"missing")).unwrap(), None);
    }

    #[test]
    fn a_part_that_can_not_be_moved_is_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("part");
        fs::write(&part, b"a").unwrap();
        let place = Place::new(&dir.path().join("gone"), "talk.mp4".to_owned(), false);
        assert!(place.take(&part).is_err() && part.exists());
    }
}

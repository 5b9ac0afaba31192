//! How much of the disk one attempt may take, whoever writes it: all files in its folder together.
//!
//! A limit of the system holds for each file by itself (`RLIMIT_FSIZE`), and a program may write any number of them. What an
//! attempt needs at most is three times the largest file: what was downloaded, the parts of it that are kept, and what is
//! made of them.
//!
//! Looked at once a second, which costs nothing for the few files that an honest attempt has; of a folder that was filled with
//! files only so many are counted, and more are too many. A folder that can't be looked into is too much as well: any number of
//! bytes may lie in it, and nothing honest closes one, or makes one whose path is longer than the system takes. What is not any
//! more where it was listed makes a look void, and after several in a row somebody is hiding something: to no program of ours
//! the sandbox allows to move anything from one folder to another, and within one it happens now and then.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use super::off_runtime;

/// What an attempt may take beside its media: pictures, texts, and what is rounded up.
const BESIDE: u64 = 256 << 20;
/// Files and folders of one attempt. yt-dlp may hold back as many segments as a stream has.
const MOST_ENTRIES: usize = 50_000;
/// Between two looks; a look that takes long is followed by a longer pause, which a program that makes it long can draw out no
/// further than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAUSE: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a path below the attempt's folder. Nothing honest has a tenth of it, and those of all folders are held at once.
const LONGEST_PATH: usize = 1024;
/// Looks in a row in which something had moved, and between two of them: so long no folder of ours is being removed.
const MOST_IN_VAIN: u32 = 10;
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Bytes of a block, as a file system counts what a file takes (`stat(2)`).
const BLOCK: u64 = 512;

/// What there is in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Taken {
    /// What all files and folders together take of the disk: a folder keeps the room of the names that it once had.
    disk_bytes: u64,
    entries: usize,
    /// There is more, and nobody knows how much.
    is_hidden: bool,
    /// Something was not any more where it had just been listed.
    is_moving: bool,
}

/// A folder that was listed, and which one that was.
type Listed = (PathBuf, Option<(u64, u64)>);

impl Taken {
    /// Looks at all that lies in a folder, links not followed, until there are too many.
    fn of(folder: &Path) -> Self {
        let (mut taken, mut folders) = (Self::default(), vec![(folder.to_owned(), None)]);
        let longest = folder.as_os_str().len() + LONGEST_PATH;
        while let Some(folder) = folders.pop().filter(|_| taken.entries <= MOST_ENTRIES) {
            if folder.0.as_os_str().len() > longest {
                taken.is_hidden = true;
                continue;
            }
            match taken.look_into(&folder, &mut folders) {
                // that of the attempt itself is gone: it is over
                Err(Errno::NOENT) if folder.1.is_none() => {}
                Err(error) => taken.miss(error),
                Ok(()) => {}
            }
        }
        taken
    }

    fn look_into(&mut self, (folder, listed): &Listed, below: &mut Vec<Listed>) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, folder, flags, Mode::empty())?;
        let found = fstat(&opened)?;
        if listed.is_some_and(|listed| listed != (found.st_dev, found.st_ino)) {
            // another one in its place
            return Err(Errno::NOENT);
        }
        if listed.is_none() {
            self.count(&found);
        }
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                break;
            }
            match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    self.count(&stat);
                    if FileType::from_raw_mode(stat.st_mode).is_dir() {
                        let place = folder.join(OsStr::from_bytes(name.to_bytes()));
                        below.push((place, Some((stat.st_dev, stat.st_ino))));
                    }
                }
                Err(error) => self.miss(error),
            }
        }
        Ok(())
    }

    fn count(&mut self, stat: &Stat) {
        let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
        self.disk_bytes = self.disk_bytes.saturating_add(blocks.saturating_mul(BLOCK));
    }

    /// Something could not be looked at.
    fn miss(&mut self, error: Errno) {
        match error {
            // closed, or further away than a path reaches
            Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG | Errno::LOOP => self.is_hidden = true,
            Errno::NOENT | Errno::NOTDIR => self.is_moving = true,
            // trouble of ours: the next look may see it
            _ => {}
        }
    }
}

/// The bound of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    disk_bytes: u64,
}

impl Quota {
    /// Where no file may be larger than this.
    pub(crate) fn of(max_file_bytes: u64) -> Self {
        Self { disk_bytes: max_file_bytes.saturating_mul(3).saturating_add(BESIDE) }
    }

    /// Waits until there is more in the folder than may be, and says so.
    pub(crate) async fn exceeded(&self, folder: &Path) -> Failure {
        let mut in_vain = 0;
        loop {
            let (began, folder) = (Instant::now(), folder.to_owned());
            let taken = off_runtime(move || Ok(Taken::of(&folder))).await.unwrap_or_default();
            if taken.entries > MOST_ENTRIES {
                return Failure::new(FailureKind::TooLarge, format!("more than {MOST_ENTRIES} files in scratch"));
            }
            if taken.disk_bytes > self.disk_bytes {
                return Failure::new(FailureKind::TooLarge, format!("{} bytes in scratch", taken.disk_bytes));
            }
            in_vain = if taken.is_moving { in_vain + 1 } else { 0 };
            if taken.is_hidden || in_vain > MOST_IN_VAIN {
                return Failure::new(FailureKind::TooLarge, "what lies in scratch can't be looked at");
            }
            sleep(if taken.is_moving {
                AGAIN_AFTER
            } else {
                (began.elapsed() * PAUSE).clamp(LOOK_EVERY, LONGEST_PAUSE)
            })
            .await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use rustix::fs::mkdirat;
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    use super::*;

    #[tokio::test]
    async fn all_files_of_an_attempt_together_are_bounded_in_bytes_and_in_number() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        let quota = Quota { disk_bytes: 1 << 20 };
        for at in 0..15 {
            fs::write(deep.join(at.to_string()), vec![1; 64 << 10]).unwrap();
        }
        // what is only said to be there takes nothing, and a link leads to nothing of ours
        fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("all")).unwrap();
        let taken = Taken::of(folder.path());
        assert!(taken.disk_bytes <= quota.disk_bytes, "{taken:?}");
        fs::write(folder.path().join("last"), vec![1; 128 << 10]).unwrap();
        assert_eq!(quota.exceeded(folder.path()).await.kind, FailureKind::TooLarge);

        for at in 0..=MOST_ENTRIES {
            fs::File::create(deep.join(format!("f{at}"))).unwrap();
        }
        assert_eq!(Quota { disk_bytes: u64::MAX }.exceeded(folder.path()).await.kind, FailureKind::TooLarge);
    }

    /// Fault: a folder of whose names none is left takes what they took, and was not counted.
    #[test]
    fn folders_count_with_what_they_take_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        for at in 0..500 {
            fs::File::create(below.join(format!("{at:0250}"))).unwrap();
        }
        for entry in fs::read_dir(&below).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let take = |folder: &Path| fs::metadata(folder).unwrap().blocks() * BLOCK;
        let taken = Taken::of(folder.path());
        assert_eq!((taken.disk_bytes, taken.entries), (take(folder.path()) + take(&below), 1));
    }

    /// Fault: folders that could not be looked into were passed over, with whatever lay in them.
    #[tokio::test]
    async fn a_folder_that_is_closed_or_out_of_reach_is_too_much() {
        let quota = Quota { disk_bytes: u64::MAX };
        let far = tempfile::tempdir().unwrap();
        let mut folder = openat(CWD, far.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..3_000 {
            mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = openat(&folder, "d", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(quota.exceeded(far.path()).await.kind, FailureKind::TooLarge);
        super::super::remove_tree(&far.keep()).unwrap();

        for mode in [0o300, 0o600, 0o000] {
            let folder = tempfile::tempdir().unwrap();
            let closed = folder.path().join("closed");
            fs::create_dir_all(closed.join("inner")).unwrap();
            fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
            let place = folder.path().to_owned();
            // to root nothing is closed, unless its thread has given that up
            let look = move || {
                let none = CapabilitySet::empty();
                set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
                Taken::of(&place)
            };
            let taken = std::thread::spawn(look).join().unwrap();
            assert!(taken.is_hidden, "{mode:o}: {taken:?}");
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
            assert!(!Taken::of(folder.path()).is_hidden);
        }
    }

    /// Fault: a folder that was called otherwise by the time that it was its turn was taken for one that is gone, and an empty one
    /// in its place for what had been listed.
    #[test]
    fn a_folder_that_is_not_where_it_was_listed_makes_a_look_void() {
        let folder = tempfile::tempdir().unwrap();
        let (place, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::create_dir(&place).unwrap();
        let mut listed = Vec::new();
        Taken::default().look_into(&(folder.path().to_owned(), None), &mut listed).unwrap();
        let look = || {
            let mut taken = Taken::default();
            if let Err(error) = taken.look_into(&listed[0], &mut Vec::new()) {
                taken.miss(error);
            }
            taken.is_moving
        };
        assert!(!look());
        fs::rename(&place, &other).unwrap();
        assert!(look());
        fs::create_dir(&place).unwrap();
        assert!(look());
        fs::remove_dir(&place).unwrap();
        fs::write(&place, "").unwrap();
        assert!(look());
        // of an attempt that is over there is nothing
        assert!(!Taken::of(&folder.path().join("nowhere")).is_moving);
    }
}

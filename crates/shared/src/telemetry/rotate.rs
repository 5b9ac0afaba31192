//! A log file that cannot fill the disk: at most [`KEPT`] files of [`LIMIT_BYTES`].
//!
//! `tracing_appender` rotates by time only, which bounds nothing. One process per directory and name: two that
//! share one would rename each other's files.
//!
//! Where the next file can't be made (no free descriptor, no right any more), the one that is full is gone on with, up to twice
//! its size: what is older stays, and the lines that tell why are kept. After that lines are lost, and not the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Size at which a file is put aside.
const LIMIT_BYTES: u64 = 10 * 1024 * 1024;
/// Files, the one that is written included.
const KEPT: u32 = 5;

/// Writes `<name>.log`; when that is full it becomes `<name>.log.1`, and what was `.1` becomes `.2`. The next one is made as
/// `<name>.log.0`.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    limit_bytes: u64,
}

impl RotatingFile {
    /// Goes on with the file of an earlier run; makes the directory if there is none.
    pub(super) fn open(dir: &Path, name: &str) -> io::Result<Self> {
        Self::with_limit(dir, name, LIMIT_BYTES)
    }

    fn with_limit(dir: &Path, name: &str, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{name}.log"));
        let file = append_to(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { path, file, size_bytes, limit_bytes })
    }

    /// Nothing is put aside before there is something to go on with: this is tried again with each line until it succeeds.
    fn rotate(&mut self) -> io::Result<()> {
        let next = append_to(&self.aged(0))?;
        for age in (1..KEPT).rev() {
            let younger = if age == 1 { self.path.clone() } else { self.aged(age - 1) };
            match fs::rename(younger, self.aged(age)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(self.aged(0), &self.path)?;
        self.file = next;
        self.size_bytes = 0;
        Ok(())
    }

    /// A full disk takes a part of what it is given, and that ends within a line. Whoever gave it gives all of it again.
    fn take_back(&self) {
        // somebody may have emptied the file: it must not become longer
        if self.file.metadata().is_ok_and(|file| file.len() > self.size_bytes) {
            // where this fails too, a torn line is the least of it
            let _ = self.file.set_len(self.size_bytes);
        }
    }

    fn aged(&self, age: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{age}"));
        path.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for RotatingFile {
    /// A call is one or more whole lines: none is divided between two files.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let added = lines.len() as u64;
        let is_full = self.size_bytes > 0 && self.size_bytes + added > self.limit_bytes;
        if is_full
            && let Err(error) = self.rotate()
            && self.size_bytes + added > 2 * self.limit_bytes
        {
            return Err(error);
        }
        self.file.write_all(lines).inspect_err(|_| self.take_back())?;
        self.size_bytes += added;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
    use tokio::signal::unix::{SignalKind, signal};

    use super::*;

    fn files(dir: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn five_files_are_kept_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::with_limit(dir.path(), "haul", 8).unwrap();
        for line in 1..=11 {
            log.write_all(format!("{line:02}\n").as_bytes()).unwrap();
        }
        let expected = [
            ("haul.log", "11\n"),
            ("haul.log.1", "09\n10\n"),
            ("haul.log.2", "07\n08\n"),
            ("haul.log.3", "05\n06\n"),
            ("haul.log.4", "03\n04\n"),
        ];
        assert_eq!(files(dir.path()), pairs(&expected));
    }

    /// Fault: each line that came while no file could be opened put all files aside once more, over the oldest.
    #[test]
    fn where_no_new_file_can_be_made_the_old_ones_stay_and_the_full_one_is_gone_on_with_to_twice_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::with_limit(dir.path(), "haul", 8).unwrap();
        let mut write = |line: u32| log.write_all(format!("{line:02}\n").as_bytes());
        (1..=6).try_for_each(&mut write).unwrap();
        let in_the_way = dir.path().join("haul.log.0");
        fs::create_dir(&in_the_way).unwrap();
        (7..=9).try_for_each(&mut write).unwrap();
        assert!((10..=12).all(|line| write(line).is_err()));
        fs::remove_dir(&in_the_way).unwrap();
        write(13).unwrap();
        let expected = [
            ("haul.log", "13\n"),
            ("haul.log.1", "05\n06\n07\n08\n09\n"),
            ("haul.log.2", "03\n04\n"),
            ("haul.log.3", "01\n02\n"),
        ];
        assert_eq!(files(dir.path()), pairs(&expected));
    }

    #[test]
    fn a_restart_goes_on_with_the_file_and_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("logs");
        RotatingFile::with_limit(&deep, "haul", 8).unwrap().write_all(b"one\n").unwrap();
        let mut log = RotatingFile::with_limit(&deep, "haul", 8).unwrap();
        log.write_all(b"two\n").unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(files(&deep), pairs(&[("haul.log", "three\n"), ("haul.log.1", "one\ntwo\n")]));
    }

    #[test]
    fn a_line_longer_than_a_file_is_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::with_limit(dir.path(), "haul", 4).unwrap();
        log.write_all(b"a long line\n").unwrap();
        log.write_all(b"b\n").unwrap();
        assert_eq!(files(dir.path()), pairs(&[("haul.log", "b\n"), ("haul.log.1", "a long line\n")]));
    }

    /// Fault: each try left a part of the same lines, the next line was glued to it, and the file was longer than it was thought.
    #[tokio::test]
    async fn what_a_full_disk_takes_of_a_line_is_taken_back() {
        /// Of the largest file, which is sparse: no other test of this process comes near.
        const ROOM: u64 = 1 << 36;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("haul.log");
        File::create(&path).unwrap().set_len(ROOM - 8).unwrap();
        let mut log = RotatingFile::with_limit(dir.path(), "haul", 2 * ROOM).unwrap();
        // who does not listen to it is ended by it
        let _full = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
        let before = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(ROOM), maximum: before.maximum }).unwrap();
        let torn = [log.write_all(b"no room for this\n"), log.write_all(b"nor for this\n")];
        let small = log.write_all(b"this is\n");
        setrlimit(Resource::Fsize, before).unwrap();
        assert!(torn.iter().all(Result::is_err) && small.is_ok(), "{torn:?} {small:?}");
        let file = File::open(&path).unwrap();
        let mut end = [0; 8];
        file.read_exact_at(&mut end, ROOM - 8).unwrap();
        assert_eq!((file.metadata().unwrap().len(), &end), (ROOM, b"this is\n"));
    }
}

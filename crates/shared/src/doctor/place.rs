//! Folders: whether they can be written, and how much room they have. What is not there yet is not made.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use camino::Utf8PathBuf;
use rustix::fs::{statfs, statvfs};

use super::{Check, Finding};

/// For a file system to answer.
pub(super) const WITHIN: Duration = Duration::from_secs(10);
/// `TMPFS_MAGIC` of `statfs(2)`.
const TMPFS: u64 = 0x0102_1994;

/// The folder itself or, where it is not there yet, the one that it will be made in.
#[must_use]
pub fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// Can a file be made in it? One is, which has no name, and is gone with whoever made it.
pub(super) fn written(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(nearest(folder))?;
    io::Write::write_all(&mut file, b"doctor")?;
    file.sync_all()
}

/// What is free on the file system of a folder, against what is wanted: less than `least_bytes` is a failure, less than
/// `good_bytes` a warning. Blocks.
#[must_use]
pub(super) fn room(name: &'static str, folder: &Path, (least_bytes, good_bytes): (u64, u64), remedy: &str) -> Finding {
    let free = match statvfs(nearest(folder)) {
        Ok(facts) => facts.f_bavail.saturating_mul(facts.f_frsize),
        Err(error) => return Finding::fail(name, format_args!("{}: {error}", folder.display()), remedy),
    };
    let found = format!("{} are free for {}", ByteSize(free), folder.display());
    match free {
        free if free < least_bytes => {
            Finding::fail(name, format_args!("{found}, and {} are needed", ByteSize(least_bytes)), remedy)
        }
        free if free < good_bytes => {
            Finding::warn(name, format_args!("{found}, and {} would be good", ByteSize(good_bytes)), remedy)
        }
        _ => Finding::ok(name, found),
    }
}

/// Is it kept in memory? Blocks.
#[must_use]
pub(super) fn is_in_memory(folder: &Path) -> bool {
    statfs(nearest(folder)).is_ok_and(|facts| u64::try_from(facts.f_type) == Ok(TMPFS))
}

/// Whether the log can be written, where it goes into files.
#[must_use]
pub fn log_directory(dir: Option<Utf8PathBuf>) -> Option<Check> {
    let dir = dir?;
    let name = "log.directory";
    Some(Check::new(name, WITHIN, async move {
        let written =
            tokio::task::spawn_blocking(move || written(dir.as_std_path()).map_err(|error| (dir, error))).await;
        match written {
            Ok(Ok(())) => vec![Finding::ok(name, "can be written")],
            Ok(Err((dir, error))) => {
                let remedy = format!("let this user write there: chown $(id -u) {dir}, or set HAUL_LOG_DIR otherwise");
                vec![Finding::fail(name, format!("{dir} cannot be written: {error}"), remedy)]
            }
            Err(stopped) => vec![Finding::fail(name, stopped, "set HAUL_LOG_DIR otherwise")],
        }
    }))
}

/// For a worker: whether scratch can be made here, how much there is, and whether it is memory. Blocks.
#[must_use]
pub fn scratch(folder: &Path, wanted_bytes: (u64, u64)) -> Vec<Finding> {
    let name = "scratch.directory";
    let shown = folder.display();
    let found = match (written(folder), folder.is_dir()) {
        (Ok(()), true) => Finding::ok(name, format_args!("{shown} can be written")),
        (Ok(()), false) => Finding::ok(name, format_args!("{shown} is made at the first start")),
        (Err(error), _) => Finding::fail(
            name,
            format_args!("{shown} cannot be written: {error}"),
            format_args!(
                "let this user write there: mkdir -p {shown} && chown $(id -u) {shown}; or set HAUL_WORK_DIR otherwise"
            ),
        ),
    };
    let free = room(
        "scratch.space",
        folder,
        wanted_bytes,
        "make room there, put HAUL_WORK_DIR on a larger disk, or lower HAUL_SLOTS or HAUL_MIN_FREE_DISK",
    );
    let memory = is_in_memory(folder).then(|| {
        let found = format!("{shown} is a tmpfs: every byte of a download takes memory while it is worked on");
        Finding::warn("scratch.memory", found, "set HAUL_WORK_DIR to a folder on a disk")
    });
    [found, free].into_iter().chain(memory).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_is_not_there_is_judged_by_where_it_will_be_and_not_made() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b");
        assert_eq!(nearest(&deep), top.path());
        written(&deep).unwrap();
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
        fs::write(top.path().join("a"), "a file in its place").unwrap();
        assert!(written(&deep).is_err());
    }

    #[test]
    fn room_is_measured_against_what_is_wanted() {
        let top = tempfile::tempdir().unwrap();
        let status = |least, good| room("a.b", top.path(), (least, good), "make room").status;
        assert_eq!(
            [status(0, 0), status(0, u64::MAX), status(u64::MAX, u64::MAX)],
            [Status::Ok, Status::Warn, Status::Fail]
        );
    }
}

//! Removing what strangers' programs have left: folders however deep, and whatever their modes.
//!
//! To descend takes a descriptor and a piece of the stack for each level, and a program makes as many levels as it likes.
//! So nothing is descended into: what lies in a folder is brought up, and each folder is emptied from the top.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Removes a folder with all that is in it; links are not followed. Nobody may change it meanwhile.
///
/// # Errors
/// As the system says. What was brought up stays in the folder, and goes with it the next time.
pub(super) fn remove_tree(top: &Path) -> io::Result<()> {
    // no program knows it, so that none has taken a name that begins so
    let run = rand::random::<u64>();
    let (mut folders, mut brought_up) = (Vec::new(), 0_u64);
    open_up(top)?;
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
            folders.push(entry.path());
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // to be moved, it must be writable itself (`rename(2)`)
                open_up(&entry.path())?;
                let place = top.join(format!(".{run:016x}-{brought_up}"));
                fs::rename(entry.path(), &place)?;
                brought_up += 1;
                folders.push(place);
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir(folder)?;
    }
    fs::remove_dir(top)
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt as _;

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    use rustix::process::{Resource, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn folders_are_removed_however_deep_and_whatever_their_modes() {
        // as most systems have it, and less than there are levels
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(1024);
        setrlimit(Resource::Nofile, limit).unwrap();
        let work = tempfile::tempdir().unwrap();
        let top = work.path().join("job-1");
        fs::create_dir(&top).unwrap();
        let mut folder = openat(CWD, &top, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = openat(&folder, "d", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        drop(folder);
        for (name, mode) in [("write-only", 0o300), ("closed", 0o000)] {
            let place = top.join(name);
            fs::create_dir_all(place.join("inner")).unwrap();
            fs::write(place.join("inner/file"), "x").unwrap();
            fs::set_permissions(place.join("inner"), Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
        }
        let beside = work.path().join("beside");
        fs::DirBuilder::new().mode(0o500).create(&beside).unwrap();
        std::os::unix::fs::symlink(&beside, top.join("link")).unwrap();

        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert_eq!(fs::metadata(&beside).unwrap().permissions().mode() & 0o777, 0o500);
    }
}

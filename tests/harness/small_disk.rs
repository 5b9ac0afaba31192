//! A file system of a few MiB that can really be full: a tmpfs in a mount namespace of its own. Needs no root where user
//! namespaces are allowed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// A small file system, reached through `/proc` and gone when dropped.
pub struct SmallDisk {
    keeper: Child,
    path: PathBuf,
}

impl SmallDisk {
    /// A new one of `size_bytes`.
    pub fn mount(size_bytes: u64) -> Self {
        let script =
            format!("mount -t tmpfs -o size={size_bytes} small /mnt && cd /mnt && echo mounted && read -r end");
        let mut keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed");
        let mut line = String::new();
        let answer = BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line);
        assert!(answer.is_ok() && line == "mounted\n", "this machine does not allow user namespaces with mounts");
        let path = PathBuf::from(format!("/proc/{}/cwd", keeper.id()));
        Self { keeper, path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // it is our own child, and gone at the latest when its input ends with this process
        let _ended = self.keeper.kill().and_then(|()| self.keeper.wait());
    }
}

/// The same at a path like any other, for a test [inside a world](crate::world::inside): programs under the launcher reach
/// nothing through the `/proc` of others.
pub struct MountedDisk(TempDir);

impl MountedDisk {
    /// A new one of `size_bytes`.
    ///
    /// # Errors
    /// Outside of a world.
    pub fn mount(size_bytes: u64) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let size = format!("size={size_bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "small"]).arg(place.path()).status()?;
        ensure!(mounted.success(), "nothing can be mounted here: {mounted}");
        Ok(Self(place))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for MountedDisk {
    fn drop(&mut self) {
        // the world would see to it; the folder below can be removed now
        let _ended = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

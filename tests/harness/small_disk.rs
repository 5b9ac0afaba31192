//! A file system of a few MiB that can really be full: a tmpfs in a mount namespace of its own, reached through
//! `/proc`. Needs no root where user namespaces are allowed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A small file system, gone when dropped.
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

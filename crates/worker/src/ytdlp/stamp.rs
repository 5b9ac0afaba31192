//! By what a file of yt-dlp's is seen to be another one.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self { inode: meta.ino(), size: meta.size(), changed: (meta.mtime(), meta.mtime_nsec()) }
    }

    /// That of what is there now, links followed; `None`: nothing is.
    pub(super) async fn at(file: &Path) -> Option<Self> {
        tokio::fs::metadata(file).await.ok().map(|meta| Self::of(&meta))
    }
}

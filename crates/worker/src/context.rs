//! What every job of this worker is given.

use std::sync::Arc;

use haul_shared::ids::WorkerId;
use haul_shared::metadata::MetadataCache;
use haul_shared::storage::Storage;
use haul_shared::store::JobStore;

use crate::board::Board;
use crate::config::WorkerConfig;
use crate::ffmpeg::Ffmpeg;
use crate::metrics::Metrics;
use crate::scratch::Scratch;
use crate::ytdlp::Ytdlp;

/// The parts of one worker.
pub struct Context {
    /// This life of the worker.
    pub id: WorkerId,
    /// What it was told at start.
    pub config: WorkerConfig,
    /// The queue.
    pub store: JobStore,
    /// Where results go.
    pub storage: Arc<Storage>,
    /// Where findings go.
    pub cache: MetadataCache,
    /// The jobs under way.
    pub board: Board,
    /// Where attempts work.
    pub scratch: Scratch,
    /// What is counted.
    pub metrics: Metrics,
    /// Finds and fetches.
    pub ytdlp: Ytdlp,
    /// Which of it.
    pub ytdlp_version: String,
    /// Shapes and looks.
    pub ffmpeg: Ffmpeg,
}

impl Context {
    /// Is there disk for another job? A file system that does not tell is taken for full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.scratch.free_bytes().is_ok_and(|free| free >= self.config.limits.min_free_disk_bytes)
    }
}

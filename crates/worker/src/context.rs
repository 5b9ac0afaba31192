//! What every job of this worker is given.

use std::sync::Arc;
use std::time::Duration;

use haul_shared::ids::WorkerId;
use haul_shared::job::Artifact;
use haul_shared::metadata::MetadataCache;
use haul_shared::storage::{ObjectKey, Storage};
use haul_shared::store::JobStore;
use tokio::sync::Notify;

use crate::board::Board;
use crate::config::WorkerConfig;
use crate::ffmpeg::Ffmpeg;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::scratch::Scratch;
use crate::segments::Segments;
use crate::shape::Lane;
use crate::thumbnails::Thumbnails;
use crate::ytdlp::Ytdlp;

/// A cancelled job is not told so later than this for the sake of its object.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// For a file system to say how much is free.
const DISK_WITHIN: Duration = Duration::from_secs(2);

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
    /// Told when there are objects whose time is over.
    pub objects_due: Notify,
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
    /// Fetches single files.
    pub relay: Relay,
    /// Fetches streams of segments.
    pub segments: Segments,
    /// Shapes and looks.
    pub ffmpeg: Ffmpeg,
    /// Where jobs wait that code anew.
    pub coding: Lane,
    /// What is made once jobs are completed.
    pub thumbnails: Thumbnails,
}

impl Context {
    /// For how many more downloads is there disk, once those under way have what they still need? At most `most`.
    pub async fn room_for(&self, most: usize) -> usize {
        let least = self.config.limits.min_free_disk_bytes;
        let free = self.free_disk().await.saturating_sub(self.board.bytes_to_come(least));
        free.checked_div(least).map_or(most, |room| usize::try_from(room).map_or(most, |room| room.min(most)))
    }

    /// Is there disk for another download?
    pub async fn has_room(&self) -> bool {
        self.room_for(1).await == 1
    }

    /// Bytes free for scratch. A file system that does not tell, or not in time, is taken for full.
    pub async fn free_disk(&self) -> u64 {
        let free = tokio::time::timeout(DISK_WITHIN, self.scratch.free_bytes()).await;
        free.ok().and_then(Result::ok).unwrap_or(0)
    }

    /// Removes a result that no job will lead to, with all that belongs to it.
    pub async fn discard_all(&self, artifact: &Artifact) {
        for (object, _) in artifact.objects() {
            self.discard(object).await;
        }
    }

    /// Removes an object that no job will lead to. Where that fails, its reservation has it removed later.
    pub async fn discard(&self, object: &ObjectKey) {
        match tokio::time::timeout(DISCARD_WITHIN, self.storage.delete(object)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%object, error = &error as &dyn std::error::Error, "an object could not be removed yet");
            }
            Err(_) => tracing::warn!(%object, "an object could not be removed yet: storage does not answer"),
        }
    }
}

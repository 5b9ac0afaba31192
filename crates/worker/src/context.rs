//! What every job of this worker is given.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haul_shared::ids::WorkerId;
use haul_shared::job::{Artifact, Stored};
use haul_shared::metadata::MetadataCache;
use haul_shared::storage::{ObjectKey, ObjectMeta, Storage, StorageError, content_type_of};
use haul_shared::store::JobStore;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::board::Board;
use crate::config::WorkerConfig;
use crate::ffmpeg::Ffmpeg;
use crate::guard::Guards;
use crate::jar::Jars;
use crate::metrics::Metrics;
use crate::relay::Relays;
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use crate::segments::Segments;
use crate::shape::Lane;
use crate::storage_watch::StorageWatch;
use crate::thumbnails::Thumbnails;
use crate::webhooks::Webhooks;
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
    /// Whether it takes them.
    pub storage_watch: StorageWatch,
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
    /// The cookies that jobs may use.
    pub jars: Jars,
    /// How programs are confined.
    pub sandbox: Sandbox,
    /// Finds and fetches.
    pub ytdlp: Ytdlp,
    /// What everything that is fetched goes through.
    pub guards: Guards,
    /// Fetches single files.
    pub relays: Relays,
    /// Fetches streams of segments.
    pub segments: Segments,
    /// Shapes and looks.
    pub ffmpeg: Ffmpeg,
    /// Where jobs wait that code anew.
    pub coding: Lane,
    /// What is made once jobs are completed.
    pub thumbnails: Thumbnails,
    /// Who is told of ends.
    pub webhooks: Webhooks,
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

    /// Puts a small file of ours into the store. The object's name was noted before.
    ///
    /// # Errors
    /// When the file can't be read, or the store does not take it.
    pub async fn put_small(&self, object: &ObjectKey, file: &Path) -> Result<Stored, StorageError> {
        let bytes = tokio::fs::read(file).await.map_err(StorageError::File)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
        let meta = ObjectMeta { content_type: content_type_of(extension).to_owned(), sha256 };
        self.storage.put(object, file, &meta, |_| {}).await?;
        Ok(Stored { object: object.clone(), size_bytes: bytes.len() as u64 })
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

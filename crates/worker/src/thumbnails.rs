//! Thumbnails: made once their jobs are completed, so that nobody waits for a result because of its picture.
//!
//! Decides when: one at a time, in the order of completion, and after the downloads, which have the slots and, by the
//! niceness of the program, the cores. What a picture is made of stays in scratch until then, within a bound; where that is
//! reached, jobs wait for it before they complete, as they would for their own picture. What was not made in time is not
//! made any more: the API tells until when it may come.
//!
//! Not here: what a picture is made of (`pipeline::beside`), how (`ffmpeg::picture`), and who is told (`shared::store`).

mod subject;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::Stored;
use haul_shared::storage::{ObjectKey, ObjectMeta, content_type_of};
use haul_shared::store::Lease;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

pub use subject::{KeptFrame, SitePicture, Still, Subject};

use crate::context::Context;
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::picture::Source;
use crate::process::Watch;
use crate::scratch::Folder;

/// After the completion of its job, a thumbnail may come for so long.
pub const COMING: Duration = Duration::from_secs(30);
/// What the worker takes of that. The rest is for its last word.
const MADE_WITHIN: Duration = Duration::from_secs(22);
/// For the word that it is there, or will not come.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// For one run of ffmpeg.
pub const RUN_WITHIN: Duration = Duration::from_secs(10);
/// A job waits no longer than this for its picture's place.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// MiB of scratch in which pictures to come have what they are made of.
const MOST_MIB: u32 = 1024;
/// MiB that each counts for at least: there are never more than 64 of them.
const LEAST_MIB: u32 = 16;

/// The thumbnails to come of one worker.
#[derive(Debug)]
pub struct Thumbnails {
    held: Arc<Semaphore>,
    turn: Semaphore,
    given_up: CancellationToken,
}

/// Room in scratch for what a picture is made of; free again when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

/// What became of a thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is in the store, and its job leads to it.
    Stored,
    /// There was nothing to make it of after all, or it could not be made.
    Failed,
    /// It was not made in time.
    Late,
    /// The worker stops.
    Stopped,
    /// Its job was deleted before.
    Unwanted,
    /// There was no place for it.
    Crowded,
}

impl Fate {
    /// All fates.
    pub const ALL: [Self; 6] = [Self::Stored, Self::Failed, Self::Late, Self::Stopped, Self::Unwanted, Self::Crowded];

    /// Its word in metrics and log lines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Stopped => "stopped",
            Self::Unwanted => "unwanted",
            Self::Crowded => "crowded",
        }
    }
}

impl Default for Thumbnails {
    fn default() -> Self {
        Self {
            held: Arc::new(Semaphore::new(MOST_MIB as usize)),
            turn: Semaphore::new(1),
            given_up: CancellationToken::new(),
        }
    }
}

impl Thumbnails {
    /// A place for what takes so many bytes of scratch, in the order of asking; none, where it takes too long.
    pub async fn place(&self, bytes: u64) -> Option<Place> {
        let mib = u32::try_from(bytes >> 20).unwrap_or(MOST_MIB).clamp(LEAST_MIB, MOST_MIB);
        let place = timeout(PLACE_WITHIN, Arc::clone(&self.held).acquire_many_owned(mib)).await;
        place.ok().and_then(Result::ok).map(Place)
    }

    /// Ends those under way: the worker stops.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }
}

/// A thumbnail to come, of a completed job.
#[derive(Debug)]
pub struct Sitting {
    /// With which the job was completed.
    pub lease: Lease,
    /// Where it goes.
    pub object: ObjectKey,
    /// What it is made of.
    pub subject: Subject,
    /// Where that is, and where it is made.
    pub folder: Folder,
    /// The room that it takes.
    pub place: Place,
}

impl Sitting {
    /// Makes it, stores it and says so; or says that it will not come.
    pub async fn sit(self, ctx: &Context) {
        let Self { lease, object, subject, folder, place } = self;
        let end = Instant::now() + MADE_WITHIN;
        let made = ctx.thumbnails.given_up.run_until_cancelled(make(ctx, &subject, folder.path(), &object));
        let (stored, fate) = match timeout_at(end, made).await {
            Ok(Some(Some(stored))) => (Some(stored), Fate::Stored),
            Ok(Some(None)) => (None, Fate::Failed),
            Ok(None) => (None, Fate::Stopped),
            Err(_) => (None, Fate::Late),
        };
        drop(subject);
        folder.remove().await;
        drop(place);
        let size_bytes = stored.map(|stored| stored.size_bytes);
        let told = timeout(TOLD_WITHIN, ctx.store.thumbnail(&lease, &object, size_bytes)).await;
        let id = lease.job;
        let fate = match told {
            Ok(Ok(true)) => fate,
            Ok(Ok(false)) => Fate::Unwanted,
            // whether it was heard is not known: what is not led to goes when its note says so
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(job.id = %id, "what became of the thumbnail of job {id} could not be told");
                fate
            }
        };
        if fate == Fate::Unwanted && size_bytes.is_some() {
            ctx.discard(&object).await;
        }
        ctx.metrics.thumbnail(fate);
        match fate {
            Fate::Stored => tracing::debug!(job.id = %id, "job {id} has its thumbnail"),
            Fate::Unwanted => tracing::debug!(job.id = %id, "job {id} was deleted before it had its thumbnail"),
            Fate::Failed | Fate::Late | Fate::Stopped | Fate::Crowded => {
                tracing::info!(job.id = %id, fate = fate.word(), "job {id} gets no thumbnail: {}", fate.word());
            }
        }
    }
}

/// Of the site's picture, or of a frame where there is none that can be read.
async fn make(ctx: &Context, subject: &Subject, dir: &Path, object: &ObjectKey) -> Option<Stored> {
    if let Some(made) = &subject.made {
        return store(ctx, made, object).await;
    }
    if let Some(still) = subject.still().await
        && let Some(thumbnail) = drawn(ctx, Source::Still(&still.file, still.demuxer), dir).await
    {
        return store(ctx, &thumbnail, object).await;
    }
    let frame = subject.frame.as_ref()?;
    let thumbnail = drawn(ctx, Source::Frame(frame.borrowed()), dir).await?;
    store(ctx, &thumbnail, object).await
}

/// In its turn.
async fn drawn(ctx: &Context, source: Source<'_>, dir: &Path) -> Option<PathBuf> {
    let thumbnails = &ctx.thumbnails;
    let _turn = thumbnails.turn.acquire().await.ok()?;
    let watch = Watch::new(RUN_WITHIN, RUN_WITHIN, thumbnails.given_up.clone());
    let polite = Ffmpeg { limits: ctx.ffmpeg.limits.nicer(), ..ctx.ffmpeg.clone() };
    match polite.picture(source, dir, false, &watch).await {
        Ok(picture) => Some(picture.thumbnail),
        Err(failure) => {
            tracing::debug!(detail = failure.detail, "a thumbnail could not be made");
            None
        }
    }
}

/// Puts it where its job will lead to it; its name was noted when the job was completed.
async fn store(ctx: &Context, file: &Path, object: &ObjectKey) -> Option<Stored> {
    let bytes = tokio::fs::read(file).await.ok()?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let meta = ObjectMeta { content_type: content_type_of("jpg").to_owned(), sha256 };
    match ctx.storage.put(object, file, &meta, |_| {}).await {
        Ok(()) => Some(Stored { object: object.clone(), size_bytes: bytes.len() as u64 }),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a thumbnail could not be stored");
            None
        }
    }
}

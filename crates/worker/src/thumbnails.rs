//! Thumbnails: made once their jobs are completed, so that nobody waits for a result because of its picture.
//!
//! Decides when: in the order of completion, on half of the cores, and after the downloads, which have the slots and, by the
//! niceness of the program, the cores. Pictures that somebody looks for (`pipeline::picture`) have the other half, and give way
//! to nobody. What a picture is made of stays in scratch until then, within a bound; where that is
//! reached, a job goes without: none waits for the pictures of others. What was not made in time is not made any more: the
//! API tells until when it may come.
//!
//! Not here: what a picture is made of (`pipeline::beside`), how (`ffmpeg::picture`), and who is told (`shared::store`).

mod subject;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::Stored;
use haul_shared::storage::ObjectKey;
use haul_shared::store::Lease;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

pub use subject::{KeptFrame, SitePicture, Still, Subject};

use crate::context::Context;
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::picture::Source;
use crate::process::Watch;
use crate::scratch::Folder;
use crate::shape::{self, Lane};

/// After the completion of its job, a thumbnail may come for so long: as a rule that takes a tenth of a second, but others
/// go before it who may want all processors.
pub const COMING: Duration = Duration::from_secs(60);
/// What the worker takes of that. The rest is for its last word.
const MADE_WITHIN: Duration = Duration::from_secs(52);
/// For the word that it is there, or will not come.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// For one run of ffmpeg. Who has less left than this does not wait for a turn: the lane serves who still has time.
const RUN_WITHIN: Duration = Duration::from_secs(25);
/// What a picture that somebody looks for has to have left for its run, to wait for a turn.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// MiB of scratch in which pictures to come have what they are made of.
const MOST_MIB: u32 = 1024;
/// MiB that each counts for, for the picture of its site, before its medium: there are never more than 64 of them.
const LEAST_MIB: u32 = 16;
/// Bytes of a medium that stays in scratch for its frame.
pub const LARGEST_MEDIUM: u64 = 256 << 20;
/// Pictures of sites that are fetched at once.
const FETCHES: usize = 32;

/// The thumbnails to come of one worker.
#[derive(Debug)]
pub struct Thumbnails {
    held: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
    lane: Lane,
    /// Of pictures that somebody looks for: behind one that gives way to all others they would give way, too.
    looked_for: Lane,
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
    /// Its job was deleted before, or its time was over when the store heard of it.
    Unwanted,
    /// There was no place for it.
    Crowded,
    /// It was made, but whether the store heard so is not known.
    Untold,
}

impl Fate {
    /// All fates.
    pub const ALL: [Self; 7] =
        [Self::Stored, Self::Failed, Self::Late, Self::Stopped, Self::Unwanted, Self::Crowded, Self::Untold];

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
            Self::Untold => "untold",
        }
    }
}

impl Thumbnails {
    /// None yet, to be made on half of these cores.
    #[must_use]
    pub fn on_cores(cores: NonZeroUsize) -> Self {
        Self {
            held: Arc::new(Semaphore::new(MOST_MIB as usize)),
            fetches: Arc::new(Semaphore::new(FETCHES)),
            lane: Lane::for_cores(cores),
            looked_for: Lane::for_cores(cores),
            given_up: CancellationToken::new(),
        }
    }

    /// A place for one whose medium takes so many bytes of scratch, if there is one now: it does not wait.
    #[must_use]
    pub fn place(&self, bytes: u64) -> Option<Place> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(MOST_MIB).saturating_add(LEAST_MIB);
        Arc::clone(&self.held).try_acquire_many_owned(mib).ok().map(Place)
    }

    /// Who fetches the picture of a site has one of these.
    #[must_use]
    pub fn fetches(&self) -> Arc<Semaphore> {
        Arc::clone(&self.fetches)
    }

    /// The turn of one that has until `end`. None, where the lane is full and a run has no time any more.
    async fn turn(&self, end: Instant) -> Option<shape::Place<'_>> {
        timeout_at(end - RUN_WITHIN, self.lane.enter()).await.ok()
    }

    /// The same for a picture that somebody looks for.
    pub async fn turn_of_look(&self, end: Instant) -> Option<shape::Place<'_>> {
        timeout_at(end - LOOK_WITHIN, self.looked_for.enter()).await.ok()
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
    /// Its part of the job's trace.
    pub span: Span,
}

impl Sitting {
    /// Makes it, stores it and says so; or says that it will not come.
    pub async fn sit(self, ctx: &Context) {
        let span = self.span.clone();
        self.sit_within(ctx).instrument(span).await;
    }

    async fn sit_within(self, ctx: &Context) {
        let Self { lease, object, subject, folder, place, span } = self;
        let end = Instant::now() + MADE_WITHIN;
        let made = ctx.thumbnails.given_up.run_until_cancelled(make(ctx, &subject, (folder.path(), end), &object));
        let made = match timeout_at(end, made).await {
            Ok(Some(made)) => made,
            Ok(None) => Err(Fate::Stopped),
            Err(_) => Err(Fate::Late),
        };
        drop(subject);
        let size_bytes = made.as_ref().ok().map(|stored| stored.size_bytes);
        let told = timeout(TOLD_WITHIN, ctx.store.thumbnail(&lease, &object, size_bytes)).await;
        let (id, is_wanted) = (lease.job, told.ok().and_then(Result::ok));
        let fate = match (made, is_wanted) {
            (Ok(_), Some(true)) => Fate::Stored,
            (Ok(_), Some(false)) => Fate::Unwanted,
            // what is not led to goes when its note says so
            (Ok(_), None) => Fate::Untold,
            (Err(fate), _) => fate,
        };
        span.record("thumbnail.fate", fate.word());
        if is_wanted == Some(false) {
            // also what was given up half-way may be there
            ctx.discard(&object).await;
        }
        folder.remove().await;
        drop(place);
        ctx.metrics.thumbnail(fate);
        match fate {
            Fate::Stored => tracing::debug!(job.id = %id, "job {id} has its thumbnail"),
            Fate::Unwanted => tracing::debug!(job.id = %id, "nobody waits for the thumbnail of job {id} any more"),
            Fate::Untold => {
                tracing::warn!(job.id = %id, "that the thumbnail of job {id} is there could not be told");
            }
            Fate::Failed | Fate::Late | Fate::Stopped | Fate::Crowded => {
                tracing::info!(job.id = %id, fate = fate.word(), "job {id} gets no thumbnail: {}", fate.word());
            }
        }
    }
}

/// Of the site's picture, or of a frame where there is none that can be read.
async fn make(
    ctx: &Context,
    subject: &Subject,
    (dir, end): (&Path, Instant),
    object: &ObjectKey,
) -> Result<Stored, Fate> {
    if let Some(made) = &subject.made {
        return store(ctx, made, object).await;
    }
    if let Some(still) = subject.still().await {
        match drawn(ctx, Source::Still(&still.file, still.image), (dir, end)).await {
            Ok(thumbnail) => return store(ctx, &thumbnail, object).await,
            Err(Fate::Failed) => {}
            Err(fate) => return Err(fate),
        }
    }
    let frame = subject.frame.as_ref().ok_or(Fate::Failed)?;
    let thumbnail = drawn(ctx, Source::Frame(frame.borrowed()), (dir, end)).await?;
    store(ctx, &thumbnail, object).await
}

/// In its turn.
async fn drawn(ctx: &Context, source: Source<'_>, (dir, end): (&Path, Instant)) -> Result<PathBuf, Fate> {
    let thumbnails = &ctx.thumbnails;
    let _turn = thumbnails.turn(end).await.ok_or(Fate::Late)?;
    let watch = Watch::new(RUN_WITHIN, RUN_WITHIN, thumbnails.given_up.clone());
    let polite = Ffmpeg { limits: ctx.ffmpeg.limits.nicer(), ..ctx.ffmpeg.clone() };
    match polite.picture(source, dir, false, &watch).await {
        Ok(picture) => Ok(picture.thumbnail),
        Err(failure) => {
            tracing::debug!(detail = failure.detail, "a thumbnail could not be made");
            Err(Fate::Failed)
        }
    }
}

/// Puts it where its job will lead to it; its name was noted when the job was completed.
async fn store(ctx: &Context, file: &Path, object: &ObjectKey) -> Result<Stored, Fate> {
    ctx.put_small(object, file).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a thumbnail could not be stored");
        Fate::Failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_no_time_left_does_not_wait_for_a_turn() {
        let thumbnails = Thumbnails::on_cores(NonZeroUsize::new(5).unwrap());
        let (now, plenty) = (Instant::now(), MADE_WITHIN);
        let first = thumbnails.turn(now + plenty).await.expect("the lane is free");
        let second = thumbnails.turn(now + plenty).await.expect("it is half of the cores wide");
        assert!(thumbnails.turn(now + RUN_WITHIN).await.is_none());
        assert!(thumbnails.turn_of_look(now + LOOK_WITHIN).await.is_some(), "who looks waits for no thumbnail");
        let (third, ()) = tokio::join!(thumbnails.turn(now + plenty), async { drop(first) });
        assert!(third.is_some());
        drop((second, third));
        assert!(thumbnails.turn(now + RUN_WITHIN).await.is_some(), "nobody else wants it");
    }

    #[test]
    fn what_pictures_are_made_of_is_bounded_in_number_and_in_bytes() {
        let thumbnails = Thumbnails::on_cores(NonZeroUsize::MIN);
        let held: Vec<_> = std::iter::from_fn(|| thumbnails.place(0)).collect();
        assert_eq!(held.len(), 64);
        drop(held);
        let held: Vec<_> = std::iter::from_fn(|| thumbnails.place(LARGEST_MEDIUM)).collect();
        assert_eq!(held.len(), 3);
        assert!(thumbnails.place(1).is_some() && thumbnails.place(u64::MAX).is_none());
    }
}

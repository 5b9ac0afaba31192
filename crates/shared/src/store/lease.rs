//! Leases: who may write to a running job.
//!
//! A worker holds a job for a limited time. Every write carries the lease's fence and Redis refuses any fence
//! but the newest, so a worker that slept past its lease cannot undo its successor's work.
//!
//! Not here: how a job is taken ([`super::claims`]), when to renew (`worker::heartbeat`), how the work is done (`worker::pipeline`).

use std::time::Duration;

use futures::future::join_all;

use super::keys::Kind;
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms, sites};
use crate::ids::{Fence, JobId, Shard};
use crate::job::{Artifact, Failure, LONGEST_ASKED, Progress};
use crate::media::MediaInfo;
use crate::storage::ObjectKey;

/// How long a reserved object is kept when its job is never completed: longer than any upload.
const RESERVATION: Duration = Duration::from_secs(24 * 3600);

/// How long the object of a thumbnail is kept after its time when nobody says that it is there: longer than a call takes
/// that writes it.
const UNSAID: Duration = Duration::from_secs(300);

/// How long whoever asks for what has just failed for good is told so at once: page reloads do not reach the site.
const KNOWN_FAILURE: Duration = Duration::from_secs(60);

/// The right to write to a running job, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which job.
    pub job: JobId,
    /// Which lease of it.
    pub fence: Fence,
    /// What it is about.
    pub kind: Kind,
}

/// What a worker says of a running job.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Which.
    pub lease: Lease,
    /// How far it is.
    pub progress: Progress,
    /// What is known of the medium, once it is.
    pub media: Option<MediaInfo>,
}

/// What the store answers to a beat, or to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Go on.
    Ok,
    /// Nobody wants it any more: stop, then report with [`JobStore::fail`].
    Cancel,
    /// The lease was lost: stop, write nothing.
    Lost,
    /// The job itself is gone, with the memory of Redis perhaps: stop, write nothing.
    Gone,
}

/// How a result came about, and what is still to come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course<'a> {
    /// How long each stage of this attempt took.
    pub stages: &'a [(&'static str, Duration)],
    /// For how long its thumbnail may still come; zero: none will.
    pub thumbnail_within: Duration,
    /// The extractor of yt-dlp's that its site has to itself, if it has one: such sites speak for others (`rollout`).
    pub own_extractor: Option<&'a str>,
}

/// What became of a job whose worker says that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is completed.
    Completed,
    /// It had been cancelled meanwhile: the object is to be removed.
    Cancelled,
}

/// What became of a job whose worker gave up an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It waits for another attempt.
    Waiting,
    /// It has failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl JobStore {
    /// Renews leases and stores progress; answers in the same order, `None` for those whose shard did not answer. It is
    /// not asked again: the next beat does the same.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no shard answered.
    pub async fn heartbeat(&self, beats: &[Beat]) -> Result<Vec<Option<Pulse>>, StoreError> {
        let answers = join_all(self.0.settings.shards.all().map(|shard| self.beat(shard, beats))).await;
        let mut pulses = vec![None; beats.len()];
        let mut failed = None;
        for answer in answers {
            match answer {
                Ok(heard) => heard.into_iter().for_each(|(at, pulse)| pulses[at] = Some(pulse)),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if pulses.iter().all(Option::is_none) => Err(error),
            _ => Ok(pulses),
        }
    }

    /// The pulses of the jobs of one shard, with their places.
    async fn beat(&self, shard: Shard, beats: &[Beat]) -> Result<Vec<(usize, Pulse)>, StoreError> {
        let shards = self.0.settings.shards;
        let here = || beats.iter().enumerate().filter(|(_, beat)| beat.lease.job.shard(shards) == shard);
        if here().next().is_none() {
            return Ok(Vec::new());
        }
        let mut call = invocation(shard, &scripts::HEARTBEAT);
        call.arg(ms(self.0.settings.lease));
        for (_, beat) in here() {
            let progress = serde_json::to_vec(&beat.progress).map_err(|_| StoreError::Unreadable("progress"))?;
            let media = match &beat.media {
                Some(media) => serde_json::to_vec(media).map_err(|_| StoreError::Unreadable("a medium"))?,
                None => Vec::new(),
            };
            call.arg(beat.lease.job.to_string())
                .arg(beat.lease.fence.0)
                .arg(progress)
                .arg(media)
                .arg(beat.progress.short());
        }
        let answers: Vec<String> = self.run_once(&call).await?;
        if answers.len() != here().count() {
            return Err(StoreError::Unreadable("an answer"));
        }
        here().zip(answers).map(|((at, _), answer)| Ok((at, pulse(&answer)?))).collect()
    }

    /// Notes an object that is about to be written, so that it is removed should the job never be completed.
    /// To be asked right before the upload: a worker that was cut off learns here that it has lost its job.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn reserve(&self, lease: &Lease, object: &ObjectKey) -> Result<Pulse, StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::RESERVE);
        call.arg(lease.job.to_string()).arg(lease.fence.0).arg(object.as_str()).arg(ms(RESERVATION));
        let answer: String = self.run_surely(&call).await?;
        pulse(&answer)
    }

    /// Ends the job with a result in the store. An unanswered call may be sent again: with the same lease the
    /// answer is the same. `stages` are the durations of this attempt's stages.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Unavailable`].
    pub async fn complete(
        &self,
        lease: &Lease,
        artifact: &Artifact,
        stages: &[(&'static str, Duration)],
    ) -> Result<Done, StoreError> {
        self.complete_after(lease, artifact, Course { stages, ..Course::default() }).await
    }

    /// The same, of a job whose thumbnail is still to be made.
    ///
    /// # Errors
    /// As [`JobStore::complete`].
    pub async fn complete_before_thumbnail(
        &self,
        lease: &Lease,
        artifact: &Artifact,
        stages: &[(&'static str, Duration)],
        within: Duration,
    ) -> Result<Done, StoreError> {
        let course = Course { stages, thumbnail_within: within, own_extractor: None };
        self.complete_after(lease, artifact, course).await
    }

    /// The same, with all that is known. The name of a thumbnail is noted with this call, as every object's is before it is
    /// written. [`JobStore::thumbnail`] says what became of it; of who does not say so within its time, none comes.
    ///
    /// # Errors
    /// As [`JobStore::complete`].
    pub async fn complete_after(
        &self,
        lease: &Lease,
        artifact: &Artifact,
        course: Course<'_>,
    ) -> Result<Done, StoreError> {
        let settings = &self.0.settings;
        // Handed out again only while a link made from it can live its whole time.
        let margin = (settings.link_ttl + Duration::from_secs(300)).min(settings.result_ttl / 2);
        let result = serde_json::to_vec(artifact).map_err(|_| StoreError::Unreadable("a result"))?;
        let shared = settings.result_ttl.saturating_sub(margin);
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::COMPLETE);
        call.arg(lease.job.to_string())
            .arg(lease.fence.0)
            .arg(result)
            .arg(artifact.objects().map(|(key, bytes)| format!("{bytes}:{key}")).collect::<Vec<_>>().join(" "))
            .arg(ms(settings.result_ttl))
            .arg(if artifact.is_recording { 0 } else { ms(shared) })
            .arg(ms(course.thumbnail_within))
            .arg(artifact.object.thumbnail().as_str())
            .arg(ms(course.thumbnail_within + UNSAID))
            .arg(artifact.duration_seconds.map_or_else(String::new, playing_ms))
            .arg(course.own_extractor.unwrap_or_default());
        for (name, duration) in course.stages {
            call.arg(*name).arg(format!("{:.3}", duration.as_secs_f64()));
        }
        self.done(&call).await
    }

    /// Ends a metadata job: what was found is in the cache.
    ///
    /// # Errors
    /// As [`JobStore::complete`].
    pub async fn found(&self, lease: &Lease) -> Result<Done, StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::COMPLETE);
        call.arg(lease.job.to_string()).arg(lease.fence.0).arg("null").arg("").arg(0).arg(0).arg(0);
        // no thumbnail, nothing that plays, and nothing that is counted
        call.arg("").arg(0).arg("").arg("");
        self.done(&call).await
    }

    /// Says that the thumbnail of a completed job is in the store, with this size in bytes, or (none) that it will not
    /// come. An unanswered call may be sent again. `false`: the job is gone, or the time is over, and nothing leads to the
    /// object.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn thumbnail(
        &self,
        lease: &Lease,
        object: &ObjectKey,
        size_bytes: Option<u64>,
    ) -> Result<bool, StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::THUMBNAIL);
        call.arg(lease.job.to_string()).arg(lease.fence.0).arg(object.as_str()).arg(size_bytes.unwrap_or(0));
        Ok(self.run_surely::<String>(&call).await? == "ok")
    }

    async fn done(&self, call: &crate::redis::Call<'_>) -> Result<Done, StoreError> {
        let answer: Vec<String> = self.run_surely(call).await?;
        let (word, closed) = answer.split_first().ok_or(StoreError::Unreadable("an answer"))?;
        closed.iter().for_each(|via| sites::tell_closed(via));
        match word.as_str() {
            "ok" => Ok(Done::Completed),
            "cancel" => Ok(Done::Cancelled),
            "lost" => Err(StoreError::LeaseLost),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// Gives up this attempt. The failure's kind decides whether another follows, after `delay`. An unanswered call may
    /// be sent again: with the same lease the answer is the same.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Unavailable`].
    pub async fn fail(&self, lease: &Lease, failure: &Failure, delay: Duration) -> Result<Ended, StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::FAIL);
        call.arg(lease.job.to_string())
            .arg(lease.fence.0)
            .arg(u8::from(failure.kind.is_retryable()))
            .arg(ms(delay))
            .arg(encoded(failure)?)
            .arg(if failure.kind.is_retryable() { 0 } else { ms(KNOWN_FAILURE) })
            .arg(if failure.kind.blames_site() { failure.kind.code() } else { "" })
            .arg(ms(failure.retry_after.unwrap_or_default().min(LONGEST_ASKED)))
            .arg(failure.kind.code())
            .arg(u8::from(failure.kind.blames_extractor()));
        let answer: Vec<String> = self.run_surely(&call).await?;
        let (word, opened) = answer.split_first().ok_or(StoreError::Unreadable("an answer"))?;
        if let [via, ms] = opened {
            sites::tell_opened(via, ms, failure.kind);
        }
        match word.as_str() {
            "waiting" => Ok(Ended::Waiting),
            "failed" => Ok(Ended::Failed),
            "cancelled" => Ok(Ended::Cancelled),
            "lost" => Err(StoreError::LeaseLost),
            _ => Err(StoreError::Unreadable("an answer")),
        }
    }

    /// Hands an unfinished job back to the front of its client's line; no attempt is spent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]. That the lease was lost is none: somebody else has the job then.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::RELEASE);
        call.arg(lease.job.to_string()).arg(lease.fence.0);
        self.run_surely::<String>(&call).await.map(drop)
    }

    /// Hands a job back for later: this worker cannot do it now. No attempt is spent.
    ///
    /// # Errors
    /// As [`JobStore::release`].
    pub async fn defer(&self, lease: &Lease, delay: Duration) -> Result<(), StoreError> {
        let mut call = invocation(lease.job.shard(self.0.settings.shards), &scripts::DEFER);
        call.arg(lease.job.to_string()).arg(lease.fence.0).arg(ms(delay));
        self.run_surely::<String>(&call).await.map(drop)
    }
}

/// As lists are sorted by it.
fn playing_ms(seconds: f64) -> String {
    format!("{:.0}", (seconds * 1000.0).clamp(0.0, 1e15))
}

fn pulse(answer: &str) -> Result<Pulse, StoreError> {
    match answer {
        "ok" => Ok(Pulse::Ok),
        "cancel" => Ok(Pulse::Cancel),
        "lost" => Ok(Pulse::Lost),
        "gone" => Ok(Pulse::Gone),
        _ => Err(StoreError::Unreadable("an answer")),
    }
}

pub(super) fn encoded(failure: &Failure) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(failure).map_err(|_| StoreError::Unreadable("a failure"))
}

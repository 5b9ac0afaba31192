//! How a job looks to a client: the contract's shape, made from the job and nothing else.
//!
//! The API answers with it, and a worker sends it to whom a client wants told: to both it is the same job.
//!
//! Absent values are `null`, never missing, and a link that leads nowhere yet is `null`; that of a thumbnail is there while it
//! may come, for its route waits. No type of the domain is serialised as it is: what is renamed inside must not change what
//! clients read.

mod event;
mod request;

pub use event::EventView;
pub use request::{Clip, DownloadRequest, SponsorBlock, SubtitleMode, Subtitles, Webhook};

use jiff::Timestamp;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::job::{
    Artifact, Delivery, Failure, Job, JobState, Library, Progress, Stage, Text, Thumbnail, shown_percent,
};
use crate::media::MediaInfo;
use crate::storage::clean_stem;

/// A download, as its holder sees it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(title = "Job")]
pub struct JobView {
    /// The only handle there is.
    #[schema(format = "uuid", example = "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11")]
    pub id: String,
    /// `queued`, `running`, `completed`, `failed`, `cancelled` or `expired`.
    #[schema(value_type = String, example = "running")]
    pub status: &'static str,
    /// While running: `extract`, `download`, `process`, `verify` or `upload`.
    #[schema(value_type = Option<String>, example = "download")]
    stage: Option<&'static str>,
    progress: ProgressView,
    /// How many jobs are served before this one, plus one; while queued.
    queue_position: Option<u64>,
    /// Attempts begun so far.
    attempt: u32,
    max_attempts: u32,
    /// While it waits for a retry.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// Who works on it.
    worker: Option<String>,
    /// The version of yt-dlp that the newest attempt was begun with.
    #[schema(example = "2026.08.19")]
    ytdlp: Option<String>,
    region: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Until when the result can be fetched.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    request: DownloadRequest,
    media: Option<MediaView>,
    result: Option<ResultView>,
    /// Why it failed; while it waits for a retry, why the last attempt did.
    error: Option<ErrorView>,
    library: LibraryView,
    links: LinksView,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct ProgressView {
    /// Of all stages, of the newest attempt; 100 only when it is completed.
    percent: f64,
    downloaded_bytes: Option<u64>,
    total_bytes: Option<u64>,
    speed_bytes_per_second: Option<u64>,
    eta_seconds: Option<u64>,
}

/// What is known of the medium.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct MediaView {
    title: Option<String>,
    uploader: Option<String>,
    duration_seconds: Option<f64>,
    webpage_url: Option<String>,
    extractor: Option<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct ResultView {
    filename: String,
    size_bytes: u64,
    content_type: String,
    /// Hex, of the bytes.
    sha256: String,
    duration_seconds: Option<f64>,
    width: Option<u32>,
    height: Option<u32>,
    vcodec: Option<String>,
    acodec: Option<String>,
    container: String,
    /// The quality asked for; null for audio.
    asked: Option<String>,
    /// The quality it has; null for audio.
    got: Option<String>,
    /// Which way the bytes took: `relay`, `native` or `ytdlp`.
    #[schema(value_type = String, example = "ytdlp")]
    delivery: &'static str,
    /// Why that way, as the metric `haul_deliveries_total` has it; for callers with `admin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_reason: Option<String>,
    /// What became of the subtitles; only where some were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitles: Option<Vec<TextView>>,
}

/// Subtitles in a language that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct TextView {
    /// As it was asked for.
    asked: String,
    /// As the site has it; null: there is nothing of it.
    language: Option<String>,
    /// A machine made it.
    automatic: bool,
    /// Where it is, in WebVTT; null: in the file, or no longer there.
    link: Option<String>,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct ErrorView {
    /// Stable, snake_case.
    #[schema(value_type = String, example = "geo_blocked")]
    code: &'static str,
    /// For people.
    #[schema(value_type = String)]
    message: &'static str,
    /// Might another try succeed?
    retryable: bool,
    /// What the program said; for callers with `admin` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What its holder keeps beside the result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct LibraryView {
    notes: Option<String>,
    favourite: bool,
    /// 1 to 5.
    rating: Option<u8>,
    /// How often a link was handed out, or the content from its beginning.
    downloads: u64,
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct LinksView {
    #[serde(rename = "self")]
    this: String,
    events: String,
    link: Option<String>,
    content: Option<String>,
    thumbnail: Option<String>,
}

impl JobView {
    /// The job, for a caller who is an `admin` or not. `base` is where clients reach this API.
    #[must_use]
    pub fn of(job: &Job, request: DownloadRequest, base: &Url, admin: bool) -> Self {
        let this = job_url(base, job);
        let shown = Shown::of(&job.state);
        let error = |failure: &Failure| ErrorView {
            code: failure.kind.code(),
            message: failure.kind.sentence(),
            retryable: failure.kind.is_retryable(),
            detail: admin.then(|| failure.detail.clone()),
        };
        Self {
            id: job.ticket.to_string(),
            status: shown.status,
            stage: shown.worker.is_some().then(|| job.progress.map_or(Stage::Extract, |at| at.stage).word()),
            progress: ProgressView::of(job),
            queue_position: shown.position,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            next_attempt_at: shown.due.map(time),
            worker: shown.worker,
            ytdlp: job.ytdlp.clone(),
            region: job.region.to_string(),
            created_at: time(job.created),
            // who shares a run, or is handed its result, is not told since when others have had it
            started_at: job.started.map(|at| time(at.max(job.created))),
            finished_at: shown.finished.map(|at| time(at.max(job.created))),
            expires_at: shown.expires.map(time),
            media: job.media.as_ref().map(MediaView::of),
            result: shown.artifact.map(|artifact| {
                ResultView::of(artifact, &request, shown.can_be_fetched.then_some(this.as_str()), admin)
            }),
            error: shown.failure.map(error),
            library: LibraryView::of(&job.library),
            links: LinksView {
                events: format!("{this}/events"),
                link: shown.can_be_fetched.then(|| format!("{this}/link")),
                content: shown.can_be_fetched.then(|| format!("{this}/content")),
                // the route waits for one that is still being made
                thumbnail: (shown.can_be_fetched
                    && shown.artifact.is_some_and(|made| made.beside.thumbnail != Thumbnail::None))
                .then(|| format!("{this}/thumbnail")),
                this,
            },
            request,
        }
    }
}

/// Which fields a state has something for.
#[derive(Default)]
struct Shown<'a> {
    status: &'static str,
    position: Option<u64>,
    due: Option<Timestamp>,
    worker: Option<String>,
    finished: Option<Timestamp>,
    expires: Option<Timestamp>,
    artifact: Option<&'a Artifact>,
    failure: Option<&'a Failure>,
    can_be_fetched: bool,
}

impl<'a> Shown<'a> {
    fn of(state: &'a JobState) -> Self {
        let status = status_word(state);
        let nothing = Self { status, ..Self::default() };
        match state {
            JobState::Queued { position } => Self { position: Some(*position).filter(|place| *place > 0), ..nothing },
            JobState::Waiting { due, last } => Self { due: Some(*due), failure: last.as_ref(), ..nothing },
            JobState::Running { worker } => Self { worker: Some(worker.to_string()), ..nothing },
            JobState::Completed { artifact, finished, expires } => Self {
                artifact: Some(artifact),
                finished: Some(*finished),
                expires: Some(*expires),
                can_be_fetched: true,
                ..nothing
            },
            JobState::Found { finished } => Self { finished: Some(*finished), ..nothing },
            JobState::Failed { failure, finished } => {
                Self { failure: Some(failure), finished: Some(*finished), ..nothing }
            }
            JobState::Cancelled { at } => Self { finished: Some(*at), ..nothing },
            JobState::Expired { artifact, finished, at } => {
                Self { artifact: artifact.as_ref(), finished: Some(*finished), expires: Some(*at), ..nothing }
            }
        }
    }
}

impl ProgressView {
    /// What an attempt came to stays, so that a job whose attempt has failed does not seem to go back.
    fn of(job: &Job) -> Self {
        let is_running = matches!(job.state, JobState::Running { .. });
        let has_result = match &job.state {
            JobState::Completed { .. } | JobState::Found { .. } => true,
            JobState::Expired { artifact, .. } => artifact.is_some(),
            JobState::Queued { .. }
            | JobState::Waiting { .. }
            | JobState::Running { .. }
            | JobState::Failed { .. }
            | JobState::Cancelled { .. } => false,
        };
        let reached = job.progress.unwrap_or_else(Progress::start);
        // how far the attempt came is forgotten with its result
        let size = job.state.artifact().map(|artifact| artifact.size_bytes);
        Self {
            percent: if has_result { 100.0 } else { shown_percent(reached.percent) },
            downloaded_bytes: reached.downloaded_bytes.or(size),
            total_bytes: reached.total_bytes.or(size),
            speed_bytes_per_second: reached.speed_bytes_per_second.filter(|_| is_running),
            eta_seconds: reached.eta_seconds.filter(|_| is_running),
        }
    }
}

impl MediaView {
    fn of(media: &MediaInfo) -> Self {
        let MediaInfo { title, uploader, duration_seconds, webpage_url, extractor, is_of_list: _ } = media.clone();
        Self { title, uploader, duration_seconds, webpage_url, extractor }
    }
}

impl ResultView {
    /// `job`: where what lies beside the result is found, as long as it can be fetched.
    fn of(artifact: &Artifact, request: &DownloadRequest, job: Option<&str>, admin: bool) -> Self {
        let texts = artifact.beside.subtitles.iter().map(|text| TextView::of(text, job));
        Self {
            filename: filename(artifact, request),
            size_bytes: artifact.size_bytes,
            content_type: artifact.content_type.clone(),
            sha256: artifact.sha256.clone(),
            duration_seconds: artifact.duration_seconds,
            width: artifact.width,
            height: artifact.height,
            vcodec: artifact.vcodec.clone(),
            acodec: artifact.acodec.clone(),
            container: artifact.container.clone(),
            asked: artifact.asked.clone(),
            got: artifact.got.clone(),
            delivery: match artifact.delivery {
                Delivery::Relay => "relay",
                Delivery::Native => "native",
                Delivery::Ytdlp => "ytdlp",
            },
            delivery_reason: Some(artifact.reason.clone()).filter(|reason| admin && !reason.is_empty()),
            subtitles: request.subtitles.is_some().then(|| texts.collect()),
        }
    }
}

impl LibraryView {
    fn of(library: &Library) -> Self {
        let Library { notes, favourite, rating, downloads } = library.clone();
        Self { notes, favourite, rating, downloads }
    }
}

impl TextView {
    fn of(text: &Text, job: Option<&str>) -> Self {
        let Text { asked, language, automatic, stored } = text.clone();
        // a tag is the site's word, and may be anything
        let link = job.zip(language.as_deref()).filter(|_| stored.is_some()).map(|(job, language)| {
            let word: String = url::form_urlencoded::byte_serialize(language.as_bytes()).collect();
            format!("{job}/subtitles/{}", word.replace('+', "%20"))
        });
        Self { asked, language, automatic, link }
    }
}

/// The name under which a client saves a result: what it suggested, else the title.
#[must_use]
pub fn filename(artifact: &Artifact, request: &DownloadRequest) -> String {
    format!("{}.{}", stem(artifact, request), artifact.extension)
}

/// The same without its extension.
#[must_use]
pub fn stem(artifact: &Artifact, request: &DownloadRequest) -> String {
    request.filename.as_deref().map_or_else(|| artifact.stem.clone(), clean_stem)
}

/// Where a job is.
#[must_use]
pub fn job_url(base: &Url, job: &Job) -> String {
    format!("{}/api/v1/downloads/{}", base.as_str().trim_end_matches('/'), job.ticket)
}

/// The word of the contract. A job that waits for a retry is queued.
#[must_use]
pub fn status_word(state: &JobState) -> &'static str {
    match state {
        JobState::Queued { .. } | JobState::Waiting { .. } => "queued",
        JobState::Running { .. } => "running",
        JobState::Completed { .. } | JobState::Found { .. } => "completed",
        JobState::Failed { .. } => "failed",
        JobState::Cancelled { .. } => "cancelled",
        JobState::Expired { .. } => "expired",
    }
}

/// All words of [`status_word`].
pub const STATUS_WORDS: [&str; 6] = ["queued", "running", "completed", "failed", "cancelled", "expired"];

/// A time as clients read it: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests;

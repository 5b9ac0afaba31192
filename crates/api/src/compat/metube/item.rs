//! A download as an item of `MeTube`'s history.
//!
//! Everything is read from the download itself, so that one ordered at the API is shown too. All keys are always there. What
//! has no meaning here has the value that `MeTube` gives it when nobody asked for it.

use haul_shared::job::{Job, JobState, Stage, shown_percent};
use haul_shared::media::{Codec, Format, Quality};
use haul_shared::storage::clean_stem;
use haul_shared::view::{DownloadRequest, filename};
use serde::Serialize;
use serde_json::{Map, Value};

use super::order::{BEST_KBPS, names};
use crate::error::{ApiError, Code};

/// What is said of a download whose address leads to a list, of which the first entry was taken because none was named.
const OF_LIST: &str = "This is one entry of a list. A whole list is ordered at the API: POST /api/v1/playlists.";

/// Where an item is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// What is still to come.
    Queue,
    /// What has ended.
    Done,
}

/// Where a job is listed, and under which word. `None`: it was taken back, or is no download, and `MeTube` forgets such.
pub(super) fn place(state: &JobState, stage: Option<Stage>) -> Option<(List, &'static str)> {
    match state {
        JobState::Queued { .. } | JobState::Waiting { .. } => Some((List::Queue, "pending")),
        JobState::Running { .. } => match stage {
            None | Some(Stage::Extract) => Some((List::Queue, "preparing")),
            Some(Stage::Download | Stage::Process | Stage::Verify | Stage::Upload) => {
                Some((List::Queue, "downloading"))
            }
        },
        // it was made, and is kept no longer
        JobState::Completed { .. } | JobState::Expired { artifact: Some(_), .. } => Some((List::Done, "finished")),
        JobState::Failed { .. } | JobState::Expired { artifact: None, .. } => Some((List::Done, "error")),
        JobState::Cancelled { .. } | JobState::Found { .. } => None,
    }
}

/// One item, with the keys that `MeTube`'s have. Sizes in bytes, speed in bytes per second, eta and clips in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Item {
    id: String,
    title: String,
    url: String,
    quality: String,
    download_type: &'static str,
    codec: &'static str,
    format: &'static str,
    folder: String,
    custom_name_prefix: String,
    playlist_item_limit: u32,
    split_by_chapters: bool,
    sponsorblock: bool,
    chapter_template: &'static str,
    subtitle_language: &'static str,
    subtitle_mode: &'static str,
    ytdl_options_presets: [(); 0],
    ytdl_options_overrides: Map<String, Value>,
    clip_start: Option<f64>,
    clip_end: Option<f64>,
    live_status: Option<()>,
    live_release_timestamp: Option<()>,
    status: &'static str,
    /// What there is to say of where it stands.
    msg: Option<String>,
    /// Why there is no file.
    error: Option<String>,
    percent: Option<f64>,
    speed: Option<u64>,
    eta: Option<u64>,
    size: Option<u64>,
    filename: Option<String>,
    /// When it was ordered, in nanoseconds since 1970.
    timestamp: i128,
    chapter_files: [(); 0],
}

impl Item {
    /// The item, and where it is listed.
    pub(super) fn of(job: &Job, request: &DownloadRequest) -> Option<(List, Self)> {
        let (list, status) = place(&job.state, job.progress.map(|at| at.stage))?;
        let (folder, prefix) = names(request);
        let media = job.media.as_ref();
        let title = media.and_then(|media| media.title.as_deref()).unwrap_or(&request.url);
        let (msg, error) = words(&job.state);
        let msg = msg.or_else(|| {
            media.filter(|media| media.is_of_list && request.playlist_index == 1).map(|_| OF_LIST.to_owned())
        });
        let running = job.progress.filter(|_| matches!(job.state, JobState::Running { .. }));
        let (size, filename) = match &job.state {
            JobState::Completed { artifact, .. } => (Some(artifact.size_bytes), name_of(job, request)),
            _ => (running.and_then(|at| at.total_bytes), None),
        };
        let item = Self {
            id: job.ticket.to_string(),
            title: prefixed(prefix, title),
            url: request.url.clone(),
            quality: quality(request),
            download_type: if request.format.is_audio() { "audio" } else { "video" },
            codec: codec(request.codec),
            format: format(request.format),
            folder: folder.to_owned(),
            custom_name_prefix: prefix.to_owned(),
            playlist_item_limit: 0,
            split_by_chapters: false,
            sponsorblock: !request.sponsorblock.remove.is_empty(),
            chapter_template: "",
            subtitle_language: "en",
            subtitle_mode: "prefer_manual",
            ytdl_options_presets: [],
            ytdl_options_overrides: Map::new(),
            clip_start: request.clip.as_ref().map(|clip| clip.start),
            clip_end: request.clip.as_ref().and_then(|clip| clip.end),
            live_status: None,
            live_release_timestamp: None,
            status,
            msg,
            error,
            percent: match list {
                List::Queue => running.map(|at| shown_percent(at.percent)),
                List::Done => (status == "finished").then_some(100.0),
            },
            speed: running.and_then(|at| at.speed_bytes_per_second),
            eta: running.and_then(|at| at.eta_seconds),
            size,
            filename,
            timestamp: job.created.as_nanosecond(),
            chapter_files: [],
        };
        Some((list, item))
    }
}

/// The name of a result, with the prefix that was ordered. `None`: there is no result, or none any more.
pub(super) fn name_of(job: &Job, request: &DownloadRequest) -> Option<String> {
    let JobState::Completed { artifact, .. } = &job.state else { return None };
    let (_, prefix) = names(request);
    let name = filename(artifact, request);
    Some(if prefix.is_empty() { name } else { prefixed(&clean_stem(prefix), &name) })
}

fn prefixed(prefix: &str, text: &str) -> String {
    if prefix.is_empty() { text.to_owned() } else { format!("{prefix}.{text}") }
}

/// What is to be said of a state, and why it has no file.
fn words(state: &JobState) -> (Option<String>, Option<String>) {
    let expired = || ApiError::new(Code::Expired).sentence().to_owned();
    match state {
        JobState::Waiting { last, .. } => (last.as_ref().map(|last| last.kind.sentence().to_owned()), None),
        JobState::Failed { failure, .. } => {
            let why = failure.kind.sentence().to_owned();
            (Some(why.clone()), Some(why))
        }
        JobState::Expired { artifact: Some(_), .. } => (Some(expired()), None),
        JobState::Expired { artifact: None, .. } => (Some(expired()), Some(expired())),
        JobState::Queued { .. }
        | JobState::Running { .. }
        | JobState::Completed { .. }
        | JobState::Found { .. }
        | JobState::Cancelled { .. } => (None, None),
    }
}

fn quality(request: &DownloadRequest) -> String {
    match (request.format, request.quality) {
        (Format::Flac | Format::Wav, _) => "best".to_owned(),
        (format, _) if format.is_audio() && request.audio_bitrate_kbps >= BEST_KBPS => "best".to_owned(),
        (format, _) if format.is_audio() => request.audio_bitrate_kbps.to_string(),
        (_, Quality::Best) => "best".to_owned(),
        (_, Quality::AtMost(144)) => "worst".to_owned(),
        (_, Quality::AtMost(pixels)) => pixels.to_string(),
    }
}

fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::Any => "auto",
        Codec::H264 => "h264",
        Codec::H265 => "h265",
        Codec::Vp9 => "vp9",
        Codec::Av1 => "av1",
    }
}

/// The container, in words of `MeTube`: those that it does not know are any.
fn format(format: Format) -> &'static str {
    match format {
        Format::Original | Format::Webm | Format::Mkv => "any",
        Format::Mp4 | Format::Mp3 | Format::M4a | Format::Opus | Format::Flac | Format::Wav => format.word(),
    }
}

#[cfg(test)]
mod tests {
    use haul_shared::ids::WorkerId;
    use haul_shared::job::{Artifact, Failure, FailureKind};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn artifact() -> Artifact {
        serde_json::from_value(json!({
            "o": "m/00000000000000000000000000000000/1/media.mp4", "n": "Ein Vortrag", "e": "mp4", "b": 4, "t": "video/mp4",
            "s": "", "c": "mp4",
        }))
        .unwrap()
    }

    #[test]
    fn every_state_has_its_word_and_its_list() {
        let (now, worker) = (Timestamp::UNIX_EPOCH, WorkerId::on_host("w"));
        let failure = Failure { kind: FailureKind::GeoBlocked, detail: String::new(), retry_after: None };
        let running = JobState::Running { worker };
        let (queue, done) = (List::Queue, List::Done);
        let table = [
            (JobState::Queued { position: 1 }, None, Some((queue, "pending"))),
            (JobState::Waiting { due: now, last: None }, Some(Stage::Download), Some((queue, "pending"))),
            (running.clone(), None, Some((queue, "preparing"))),
            (running.clone(), Some(Stage::Extract), Some((queue, "preparing"))),
            (running.clone(), Some(Stage::Download), Some((queue, "downloading"))),
            (running.clone(), Some(Stage::Process), Some((queue, "downloading"))),
            (running.clone(), Some(Stage::Verify), Some((queue, "downloading"))),
            (running, Some(Stage::Upload), Some((queue, "downloading"))),
            (JobState::Completed { artifact: artifact(), finished: now, expires: now }, None, Some((done, "finished"))),
            (JobState::Failed { failure, finished: now }, None, Some((done, "error"))),
            (JobState::Expired { artifact: Some(artifact()), finished: now, at: now }, None, Some((done, "finished"))),
            (JobState::Expired { artifact: None, finished: now, at: now }, None, Some((done, "error"))),
            (JobState::Cancelled { at: now }, None, None),
            (JobState::Found { finished: now }, None, None),
        ];
        for (state, stage, expected) in table {
            assert_eq!(place(&state, stage), expected, "{state:?} {stage:?}");
        }
    }
}

//! What clients see of a playlist.

use haul_shared::job::{Job, JobState, Progress, shown_percent};
use haul_shared::store::Playlist;
use haul_shared::view::{JobView, time};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::standing::{Standing, count};
use super::{Plan, Refused};

/// A playlist, as who ordered it sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistView {
    /// The only handle there is.
    #[schema(format = "uuid", example = "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11")]
    id: String,
    /// `queued`, `running`, and the ends `completed`, `partial` (with results of some), `failed`, `cancelled`, `expired`.
    #[schema(value_type = String, example = "running")]
    status: &'static str,
    /// What the list is called.
    title: Option<String>,
    /// Where it is.
    url: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    progress: PlaylistProgressView,
    /// Its downloads by their status.
    counts: PlaylistCountsView,
    /// Its downloads, in the order of the list, those that are not deleted.
    children: Vec<JobView>,
    /// Entries that may not be downloaded.
    refused: Vec<RefusedEntryView>,
    links: PlaylistLinksView,
}

/// A playlist in a list: without its entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistSummaryView {
    #[schema(format = "uuid")]
    id: String,
    #[schema(value_type = String, example = "running")]
    status: &'static str,
    title: Option<String>,
    url: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    progress: PlaylistProgressView,
    counts: PlaylistCountsView,
    links: PlaylistLinksView,
}

/// How far all of it is.
#[derive(Debug, Serialize, ToSchema)]
struct PlaylistProgressView {
    /// The mean of its downloads, of which each that has ended counts as done; 100 only when all have.
    percent: f64,
    /// Of all together, as far as they are known.
    downloaded_bytes: Option<u64>,
    /// Null as long as it is not known of each.
    total_bytes: Option<u64>,
    speed_bytes_per_second: Option<u64>,
}

/// How many downloads have this status.
#[derive(Debug, Serialize, ToSchema)]
struct PlaylistCountsView {
    queued: usize,
    running: usize,
    completed: usize,
    failed: usize,
    cancelled: usize,
    expired: usize,
}

/// An entry that may not be downloaded.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedEntryView {
    /// Its number in the list, from 1.
    index: u32,
    title: Option<String>,
    error: RefusalView,
}

/// Why an entry may not be downloaded.
#[derive(Debug, Serialize, ToSchema)]
struct RefusalView {
    /// `egress_denied`, `unsupported_url`, or `forbidden` to this key.
    code: String,
    /// For people.
    message: String,
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
struct PlaylistLinksView {
    #[serde(rename = "self")]
    this: String,
    /// All results in one file; null until there are some and nothing goes on, or when none is left.
    zip: Option<String>,
}

impl PlaylistSummaryView {
    /// The playlist with these downloads. `base` is where clients reach this API.
    #[must_use]
    pub fn of(playlist: &Playlist, plan: &Plan, downloads: &[Job], base: &Url) -> (Standing, Self) {
        let states: Vec<&JobState> = downloads.iter().map(|job| &job.state).collect();
        let standing = Standing::of(states.iter().copied(), plan.refused.len());
        let this = playlist_url(base, playlist);
        // what was there before it ended nothing of it
        let ended = || states.iter().filter_map(|state| finished(state)).fold(playlist.created, Timestamp::max);
        let summary = Self {
            id: playlist.ticket.to_string(),
            status: standing.word(),
            title: plan.title.clone(),
            url: plan.url.clone(),
            created_at: time(playlist.created),
            finished_at: standing.is_end().then(|| time(ended())),
            progress: PlaylistProgressView::of(downloads, standing),
            counts: PlaylistCountsView {
                queued: count(&states, "queued"),
                running: count(&states, "running"),
                completed: count(&states, "completed"),
                failed: count(&states, "failed"),
                cancelled: count(&states, "cancelled"),
                expired: count(&states, "expired"),
            },
            links: PlaylistLinksView { zip: standing.has_results().then(|| format!("{this}/zip")), this },
        };
        (standing, summary)
    }
}

impl PlaylistView {
    /// The playlist with all of its entries.
    #[must_use]
    pub fn of(summary: PlaylistSummaryView, children: Vec<JobView>, refused: Vec<Refused>) -> Self {
        let PlaylistSummaryView { id, status, title, url, created_at, finished_at, progress, counts, links } = summary;
        let refused = refused.into_iter().map(RefusedEntryView::of).collect();
        Self { id, status, title, url, created_at, finished_at, progress, counts, children, refused, links }
    }
}

impl PlaylistProgressView {
    fn of(downloads: &[Job], standing: Standing) -> Self {
        let reached = || downloads.iter().map(|job| (job, job.progress.unwrap_or_else(Progress::start)));
        let percents = reached().map(|(job, at)| if job.state.kind().is_end() { 100.0 } else { at.percent });
        let mean = percents.sum::<f64>() / downloads.len().max(1) as f64;
        let running = reached().filter(|(job, _)| matches!(job.state, JobState::Running { .. }));
        Self {
            // what rounding makes of the last steps is no end
            percent: if standing.is_end() { 100.0 } else { shown_percent(mean.min(99.9)) },
            downloaded_bytes: reached().filter_map(downloaded_bytes).reduce(u64::saturating_add),
            total_bytes: reached().map(total_bytes).try_fold(0, |sum: u64, bytes| sum.checked_add(bytes?)),
            speed_bytes_per_second: running.filter_map(|(_, at)| at.speed_bytes_per_second).reduce(u64::saturating_add),
        }
    }
}

impl RefusedEntryView {
    fn of(Refused { index, title, code, message }: Refused) -> Self {
        Self { index, title, error: RefusalView { code, message } }
    }
}

/// Where a playlist is.
#[must_use]
pub fn playlist_url(base: &Url, playlist: &Playlist) -> String {
    format!("{}/api/v1/playlists/{}", base.as_str().trim_end_matches('/'), playlist.ticket)
}

/// Of a result its bytes: how it was fetched is not kept.
fn downloaded_bytes((job, at): (&Job, Progress)) -> Option<u64> {
    job.state.artifact().map_or(at.downloaded_bytes, |artifact| Some(artifact.size_bytes))
}

/// What has ended has no more than what came of it.
fn total_bytes((job, at): (&Job, Progress)) -> Option<u64> {
    let ended = || downloaded_bytes((job, at)).unwrap_or(0);
    if job.state.kind().is_end() { Some(ended()) } else { at.total_bytes }
}

fn finished(state: &JobState) -> Option<Timestamp> {
    match state {
        JobState::Queued { .. } | JobState::Waiting { .. } | JobState::Running { .. } => None,
        JobState::Completed { finished, .. }
        | JobState::Found { finished }
        | JobState::Failed { finished, .. }
        | JobState::Expired { finished, .. } => Some(*finished),
        JobState::Cancelled { at } => Some(*at),
    }
}

#[cfg(test)]
mod tests {
    use haul_shared::ids::{ClientKey, Ticket};
    use haul_shared::job::{Library, Stage};

    use super::super::standing::tests::state;
    use super::*;

    /// In the state of this letter, of which so many bytes are there of so many.
    fn job((letter, downloaded, total): (char, Option<u64>, Option<u64>)) -> Job {
        let reached =
            Progress { downloaded_bytes: downloaded, total_bytes: total, ..Progress::at(Stage::Download, 10.0) };
        Job {
            ticket: Ticket::new(),
            client: ClientKey::of_api_key("a"),
            request: Vec::new(),
            created: Timestamp::UNIX_EPOCH,
            region: "eu".parse().expect("a region"),
            state: state(letter),
            attempt: 1,
            max_attempts: 4,
            started: None,
            progress: downloaded.is_some().then_some(reached),
            media: None,
            library: Library::default(),
            ytdlp: None,
            trace: None,
        }
    }

    /// Fault: what was completed took its bytes out of the sum, and what had failed left all that it had been announced to have.
    #[test]
    fn bytes_of_a_playlist_are_those_of_its_results_and_of_what_is_under_way() {
        let (some, all) = (Some(30), Some(100));
        let (queued, running, unknown) = (('q', None, None), ('r', some, all), ('r', some, None));
        // a result has 7 bytes, and keeps nothing of how it was fetched
        let (completed, expired, failed, cancelled) =
            (('c', None, None), ('e', None, None), ('f', some, all), ('x', some, all));
        for (downloads, downloaded, total) in [
            (vec![], None, Some(0)),
            (vec![queued], None, None),
            (vec![running], some, all),
            (vec![running, queued], some, None),
            (vec![running, unknown], Some(60), None),
            (vec![completed], Some(7), Some(7)),
            (vec![completed, running], Some(37), Some(107)),
            (vec![completed, expired], Some(14), Some(14)),
            (vec![completed, failed], Some(37), Some(37)),
            (vec![cancelled, running], Some(60), Some(130)),
            (vec![('f', None, None), ('l', None, None)], None, Some(0)),
        ] {
            let jobs: Vec<Job> = downloads.iter().copied().map(job).collect();
            let standing = Standing::of(jobs.iter().map(|job| &job.state), 0);
            let told = PlaylistProgressView::of(&jobs, standing);
            assert_eq!((told.downloaded_bytes, told.total_bytes), (downloaded, total), "{downloads:?}");
        }
    }
}

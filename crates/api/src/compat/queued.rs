//! What a caller has ordered, for dialects whose clients name downloads by what they are of, or order the same twice.

use haul_shared::job::Job;
use haul_shared::store::Sorting;
use haul_shared::view::DownloadRequest;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiResult;

/// Downloads that are listed, and among which one is looked for: the newest. No dialect has pages.
const NEWEST: usize = 500;

/// A download of the caller's, and what was asked.
pub type Known = (Job, DownloadRequest);

/// The same order, if it is still to be done. A stranger has no list, and so hears of nobody else's.
///
/// # Errors
/// `service_unavailable`, `internal`.
pub async fn waiting(app: &App, caller: &Caller, request: &DownloadRequest) -> ApiResult<Option<Known>> {
    if caller.listing().is_err() {
        return Ok(None);
    }
    let is_same = |(job, known): &Known| {
        // where it is done may differ with where the client was when it asked
        let known = DownloadRequest { region: None, ..known.clone() };
        !job.state.kind().is_end() && known == *request
    };
    Ok(newest(app, caller).await?.into_iter().find(is_same))
}

/// The caller's newest downloads, the newest first.
///
/// # Errors
/// `forbidden` for a stranger, and those of [`waiting`].
pub async fn newest(app: &App, caller: &Caller) -> ApiResult<Vec<Known>> {
    let mut listing = app.jobs.list(caller.listing()?, Sorting::default(), None).await?;
    let jobs = listing.next(NEWEST).await?.into_iter();
    // what is no download has no place in a history
    Ok(jobs.filter_map(|(_, job)| app.request_of(&job).ok().map(|request| (job, request))).collect())
}

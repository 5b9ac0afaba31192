//! Playlists: one request for many downloads, each of which is a job like any other.
//!
//! [`order`] looks what is at the address, plans which entries become downloads ([`plan`]), and submits them all or none:
//! what is refused for want of room takes back those that were queued before it ([`refused`]). The plan is written down
//! first, and all of it happens in a task of its own, so that neither a client that goes away nor one that comes again
//! leaves half of it. How a playlist stands is told by its downloads whenever somebody asks ([`standing`], [`view`]).
//!
//! Not here: how a download is submitted (`submit`), what Redis keeps of a playlist (`store::playlists`).

mod plan;
mod refused;
mod standing;
mod view;
pub mod zip;

pub use plan::{Child, Plan, Refused};
pub use standing::Standing;
pub use view::{PlaylistSummaryView, PlaylistView, playlist_url};

use std::sync::Arc;

use futures::future::join_all;
use haul_shared::ids::Ticket;
use haul_shared::job::Job;
use haul_shared::metadata::Look;
use haul_shared::store::{Cancelled, Idempotency, Playlist, StoreError};
use haul_shared::trace;
use haul_shared::view::DownloadRequest;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};
use crate::limits::Class;
use crate::metadata::{List, Origin};
use crate::request::{LONGEST_LIST, ListOrder, Node, read_list};
use crate::submit::{hex, submission, taken};

/// Checks a body, looks at the list that it names, and queues a download for each of its entries. `key` is the caller's
/// `Idempotency-Key`.
///
/// # Errors
/// Those of [`read_list`]; why the list can't be looked at; `idempotency_conflict`; what the store refuses the first download
/// that it refuses, and then none of them is queued.
pub async fn order(app: &Arc<App>, caller: &Caller, body: &Node, key: Option<String>) -> ApiResult<Playlist> {
    let signs = caller.signing.is_some();
    let order = read_list(body, &app.rules, signs).inspect_err(|refusal| app.count_refusal(refusal))?;
    caller.allowance.permits_list(&order.source, order.options.format)?;
    let promise = key.map(|key| Idempotency { key, body_sha256: digest(&order) });
    let mut ticket = promised(app, caller, promise.as_ref(), Ticket::new()).await?;
    let begun = if promise.is_some() { app.jobs.playlist(ticket).await? } else { None };
    let start = match begun {
        Some(begun) => Start::Begun(begun),
        None => {
            let (list, first) = listed(app, caller, &order).await?;
            let plan = Plan::of(app, caller, &order, (&list, first))?.stored();
            // a look may take longer than a promise is believed of which nothing comes
            ticket = promised(app, caller, promise.as_ref(), ticket).await?;
            Start::Planned(ticket, plan)
        }
    };
    let (of, by, is_promised) = (Arc::clone(app), caller.clone(), promise.is_some());
    let queueing = async move { queue(&of, &by, (start, is_promised), &order.options).await };
    let queued = app.tasks.spawn(trace::along(queueing));
    queued.await.unwrap_or_else(|panic| Err(ApiError::new(Code::Internal).because(&panic)))
}

/// A playlist that the caller may see.
///
/// # Errors
/// `not_found`, the same for an id that never was and for one that is somebody else's.
pub async fn find(app: &App, caller: &Caller, ticket: Ticket) -> ApiResult<Playlist> {
    let found = app.jobs.playlist(ticket).await?;
    found
        .filter(|playlist| playlist.is_whole && caller.may_see(&playlist.client))
        .ok_or_else(|| ApiError::new(Code::NotFound))
}

/// Its downloads, those that are not deleted, each with its number in the list. One that this version can't read is left out.
///
/// # Errors
/// `service_unavailable`.
pub async fn downloads(app: &App, plan: &Plan) -> ApiResult<Vec<(u32, Job)>> {
    let looks = join_all(plan.children.iter().map(|child| app.jobs.get(child.ticket))).await;
    let mut jobs = Vec::with_capacity(looks.len());
    for (child, look) in plan.children.iter().zip(looks) {
        match look {
            Ok(Some(job)) => jobs.push((child.index, job)),
            Ok(None) => {}
            Err(StoreError::Unreadable(what)) => {
                tracing::warn!(ticket = %child.ticket, what, "a download can't be read, and is left out of a playlist");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(jobs)
}

/// Lets go of all that has not ended. `false`: there was nothing.
///
/// # Errors
/// `service_unavailable`; some may be cancelled then, and the others by whoever asks again.
pub async fn cancel(app: &App, plan: &Plan) -> ApiResult<bool> {
    let mut any = false;
    for child in &plan.children {
        any |= matches!(app.jobs.cancel(child.ticket).await?, Cancelled::Now | Cancelled::Stopping);
    }
    Ok(any)
}

/// Deletes a playlist that has ended, its downloads, and their results.
///
/// # Errors
/// `service_unavailable`; what is left is deleted by whoever asks again.
pub async fn remove(app: &App, playlist: &Playlist, plan: &Plan) -> ApiResult<()> {
    for child in &plan.children {
        app.jobs.forget(child.ticket).await?;
    }
    Ok(app.jobs.forget_playlist(playlist).await?)
}

/// From where a playlist is queued.
enum Start {
    /// From what was written down before, and is never written down again: who was refused some of it may have removed it
    /// meanwhile, and be taking back what is under these very tickets.
    Begun(Playlist),
    /// From a plan that nobody knows yet, under this ticket.
    Planned(Ticket, Vec<u8>),
}

/// What has to be the same in two requests with the same key: what was asked, not how it was spelled.
fn digest(order: &ListOrder) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("playlist\0{}\0{:?}\0", order.url, order.entries));
    hash.update(order.options.stored());
    hex(&hash.finalize())
}

async fn promised(app: &App, caller: &Caller, promise: Option<&Idempotency>, ticket: Ticket) -> ApiResult<Ticket> {
    let Some(promise) = promise else { return Ok(ticket) };
    let promised = app.jobs.promise_playlist(&caller.client, promise, ticket).await?;
    promised.ok_or_else(|| ApiError::new(Code::IdempotencyConflict))
}

/// What is known of the list, and from which entry on. Who makes somebody look pays for it as for metadata.
async fn listed(app: &App, caller: &Caller, order: &ListOrder) -> ApiResult<(List, u32)> {
    let usual = caller.look(order.source.clone())?;
    // a look tells a hundred entries: the first ones will do for most, and where there are fewer, these are all
    let in_first = *order.entries.end() <= LONGEST_LIST;
    let first = if in_first { usual.first } else { *order.entries.start() };
    let what = Look { first, ..usual.clone() };
    for look in if in_first { vec![&what] } else { vec![&usual, &what] } {
        let known = app.metadata.known_list(look).await?;
        let will_do = |list: &List| look.first == first || list.entries.len() < LONGEST_LIST as usize;
        if let Some(list) = known.filter(will_do) {
            app.metrics.saw_metadata(Origin::Hit);
            return Ok((list, look.first));
        }
    }
    let charged = app.limits.charge(Class::Metadata, caller);
    charged.inspect_err(|_| app.metrics.saw_rate_limit(Class::Metadata))?;
    app.metrics.saw_metadata(Origin::Miss);
    Ok((app.metadata.find_list(&what, caller).await?, first))
}

/// Writes down what is planned, and submits it. Whoever comes with the same ticket does the same again, which is harmless.
async fn queue(
    app: &Arc<App>,
    caller: &Caller,
    (start, is_promised): (Start, bool),
    options: &DownloadRequest,
) -> ApiResult<Playlist> {
    let playlist = match start {
        Start::Begun(begun) => begun,
        Start::Planned(ticket, plan) => app.jobs.open_playlist(ticket, &caller.client, &plan).await?,
    };
    if playlist.is_whole {
        // whoever sealed it may not have heard that it lasts
        return seal(app, &playlist, playlist.plan.clone()).await;
    }
    let plan = Plan::read(&playlist.plan)?;
    let queued = match submit_all(app, caller, &plan, options).await {
        Ok(()) => seal(app, &playlist, plan.clone().sealed().stored()).await,
        Err(refusal) => Err(refusal),
    };
    let refusal = match queued {
        Ok(whole) => return Ok(whole),
        Err(refusal) => refusal,
    };
    match refused::take_back(app, &playlist, &plan).await {
        Ok(None) => {}
        Ok(Some(whole)) => return Ok(whole),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refused playlist is taken back later");
            app.tasks.spawn(refused::take_back_later(Arc::clone(app), playlist, plan, is_promised));
        }
    }
    Err(refusal)
}

/// In the order of the list. All together are one download to the limits of how often and of how much: what is handed out at
/// once counts at once, and a list that is refused halfway would have cost what it does not bring.
async fn submit_all(app: &App, caller: &Caller, plan: &Plan, options: &DownloadRequest) -> ApiResult<()> {
    for (position, child) in plan.children.iter().enumerate() {
        let order = plan.order(app, (child.index, child.url.as_deref()), options)?;
        let mut submission = submission(app, caller, child.ticket, &order)?;
        if position > 0 {
            submission.limits.rate = None;
            submission.limits.bytes_per_day = None;
        }
        taken(app, caller, app.jobs.submit(&submission).await?)?;
    }
    Ok(())
}

/// Only after this a playlist is confirmed: it is shown, and lasts as the configuration says.
async fn seal(app: &App, opened: &Playlist, plan: Vec<u8>) -> ApiResult<Playlist> {
    if app.jobs.seal_playlist(opened, &plan).await? {
        Ok(Playlist { plan, is_whole: true, ..opened.clone() })
    } else {
        // another API was refused some of the same playlist meanwhile, and has taken it back
        Err(ApiError::new(Code::ServiceUnavailable))
    }
}

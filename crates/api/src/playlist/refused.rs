//! What was queued of a playlist before some of it was refused: it is taken back, as if nothing had been ordered.
//!
//! Whoever reads the refusal knows of none of its downloads, so nobody else would ever take them back. Where Redis is away for longer
//! than a call waits, it goes on when the refusal is out, for a minute. An API that is stopped meanwhile leaves the rest, and says so.

use std::sync::Arc;
use std::time::Duration;

use haul_shared::ids::Ticket;
use haul_shared::store::{Cancelled, Playlist, StoreError};
use tokio::time::{sleep, timeout};

use super::Plan;
use crate::app::App;

/// How long a download that was taken back may take to stop until it is forgotten; its programs die within 5 s.
const STOPPING: Duration = Duration::from_secs(60);

/// For how long it is tried again to take a playlist back.
const LATER: Duration = Duration::from_secs(60);
/// Before each time.
const PAUSE: Duration = Duration::from_secs(2);

/// Leaves nothing of a playlist that could not be queued as a whole. First of all itself: who submits the same at this moment
/// then finds nothing to seal, and takes back what it has submitted. Gives the playlist where it is sealed all the same: it was
/// promised to somebody, or our own seal was carried out unheard. Repeating it is harmless.
pub(super) async fn take_back(app: &Arc<App>, opened: &Playlist, plan: &Plan) -> Result<Option<Playlist>, StoreError> {
    if let Some(whole) = abandon(app, opened, plan).await?
        // once more: it may not have reached a replica
        && app.jobs.seal_playlist(&whole, &whole.plan).await?
    {
        return Ok(Some(whole));
    }
    take_back_downloads(app, plan).await?;
    Ok(None)
}

/// The same behind a refusal, once Redis can be reached again. A playlist that is sealed all the same is kept where it `is_promised`:
/// who comes again with the same promise is answered with it. Nobody else will ever come for it.
pub(super) async fn take_back_later(app: Arc<App>, opened: Playlist, plan: Plan, is_promised: bool) {
    let once = async || {
        match abandon(&app, &opened, &plan).await? {
            Some(_) if is_promised => return Ok(()),
            Some(whole) => app.jobs.forget_playlist(&whole).await?,
            None => {}
        }
        take_back_downloads(&app, &plan).await
    };
    let taken_back = async {
        loop {
            sleep(PAUSE).await;
            if once().await.is_ok() {
                return;
            }
        }
    };
    if !is_done(&app, LATER, taken_back).await {
        tracing::warn!("some of a refused playlist stays queued");
    }
}

/// Removes it, unless it is sealed: then it is given.
async fn abandon(app: &App, opened: &Playlist, plan: &Plan) -> Result<Option<Playlist>, StoreError> {
    if !app.jobs.abandon_playlist(opened).await? {
        return Ok(None);
    }
    let is_ours = |whole: &Playlist| Plan::read(&whole.plan).is_ok_and(|whole| whole.has_tickets_of(plan));
    Ok(app.jobs.playlist(opened.ticket).await?.filter(is_ours))
}

async fn take_back_downloads(app: &Arc<App>, plan: &Plan) -> Result<(), StoreError> {
    for child in &plan.children {
        match app.jobs.retract(child.ticket).await? {
            Cancelled::Now | Cancelled::AlreadyEnded => {
                app.jobs.forget(child.ticket).await?;
            }
            Cancelled::Stopping => {
                app.tasks.spawn(forget_when_stopped(Arc::clone(app), child.ticket));
            }
            Cancelled::Gone => {}
        }
    }
    Ok(())
}

async fn forget_when_stopped(app: Arc<App>, ticket: Ticket) {
    let once = async || {
        let Some(mut watch) = app.jobs.watch(ticket).await? else { return Ok(()) };
        while !app.jobs.forget(ticket).await? && app.jobs.get(ticket).await?.is_some() {
            watch.changed().await;
        }
        Ok::<_, StoreError>(())
    };
    let forgotten = async {
        while once().await.is_err() {
            sleep(PAUSE).await;
        }
    };
    if !is_done(&app, STOPPING, forgotten).await {
        tracing::warn!("a download that was taken back stays in its list");
    }
}

/// Does the work, unless it takes longer than this, or the API is stopped before.
async fn is_done(app: &App, limit: Duration, work: impl Future<Output = ()>) -> bool {
    matches!(app.shutdown.run_until_cancelled(timeout(limit, work)).await, Some(Ok(())))
}

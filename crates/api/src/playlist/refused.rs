//! What was queued of a playlist before some of it was refused: it is taken back, as if nothing had been ordered.
//!
//! Whoever reads the refusal knows of none of its downloads, so nobody else would ever take them back. Where Redis is away for longer
//! than a call waits, it goes on when the refusal is out, for a minute.

use std::sync::Arc;
use std::time::Duration;

use haul_shared::ids::Ticket;
use haul_shared::store::{Cancelled, JobStore, Playlist, StoreError};
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
/// then finds nothing to seal, and takes back what it has submitted. Gives the playlist where somebody has sealed it before: that
/// one was promised to them. Repeating it is harmless.
pub(super) async fn take_back(app: &Arc<App>, opened: &Playlist, plan: &Plan) -> Result<Option<Playlist>, StoreError> {
    if app.jobs.abandon_playlist(opened).await? {
        let whole = app.jobs.playlist(opened.ticket).await?;
        let is_ours = |whole: &Playlist| Plan::read(&whole.plan).is_ok_and(|whole| whole.has_tickets_of(plan));
        if let Some(whole) = whole.filter(is_ours) {
            return Ok(Some(whole));
        }
    }
    for child in &plan.children {
        match app.jobs.retract(child.ticket).await? {
            Cancelled::Now | Cancelled::AlreadyEnded => {
                app.jobs.forget(child.ticket).await?;
            }
            Cancelled::Stopping => {
                let (jobs, ticket) = (app.jobs.clone(), child.ticket);
                app.tasks.spawn(app.shutdown.clone().run_until_cancelled_owned(forget_when_stopped(jobs, ticket)));
            }
            Cancelled::Gone => {}
        }
    }
    Ok(None)
}

/// The same, once Redis can be reached again. Who has come again with the same promise meanwhile, and was promised all of it, keeps it.
pub(super) async fn take_back_later(app: Arc<App>, opened: Playlist, plan: Plan) {
    let taken_back = async {
        loop {
            sleep(PAUSE).await;
            if take_back(&app, &opened, &plan).await.is_ok() {
                return;
            }
        }
    };
    if timeout(LATER, taken_back).await.is_err() {
        tracing::warn!("some of a refused playlist stays queued");
    }
}

async fn forget_when_stopped(jobs: JobStore, ticket: Ticket) {
    let forgotten = async {
        let Some(mut watch) = jobs.watch(ticket).await? else { return Ok(()) };
        while !jobs.forget(ticket).await? && jobs.get(ticket).await?.is_some() {
            watch.changed().await;
        }
        Ok::<_, StoreError>(())
    };
    if !matches!(timeout(STOPPING, forgotten).await, Ok(Ok(()))) {
        tracing::warn!("a download that was taken back stays in its list");
    }
}

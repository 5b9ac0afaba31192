//! Ctrl-C: whoever follows a download stops following it, and is told how to go on. The job is the server's, and stays.

use std::time::Duration;

use reqwest::Method;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Trip;
use crate::error::{Error, Exit};
use crate::patience::Patience;
use crate::wire::Job;

/// How long a server that is busy is asked to cancel a job: somebody waits for the program to end.
const CANCELLING: Duration = Duration::from_secs(30);

/// Whether an order is a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is none.
    No,
    /// It was sent, and no answer said what became of it.
    Perhaps,
    /// It is this one.
    As(Uuid),
}

impl Placed {
    /// The job that it surely is.
    #[must_use]
    pub fn job(self) -> Option<Uuid> {
        match self {
            Self::As(id) => Some(id),
            Self::No | Self::Perhaps => None,
        }
    }
}

/// Is cancelled by the first Ctrl-C. The second one ends the program at once, whatever it is waiting for.
///
/// # Errors
/// When the system lets nobody listen for it.
pub fn on_ctrl_c() -> Result<CancellationToken, Error> {
    // from here on it is heard, not only once somebody waits for it
    let heard = signal(SignalKind::interrupt());
    let mut heard = heard.map_err(|source| Error::File { what: "can't listen for Ctrl-C".to_owned(), source })?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        heard.recv().await;
        stopped.cancel();
        heard.recv().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

/// Does something unless, or until, it is stopped.
///
/// # Errors
/// [`Error::Interrupted`] then; else its own.
pub async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    stop.run_until_cancelled(work).await.unwrap_or(Err(Error::Interrupted))
}

/// Says how to go on with what was not finished, or cancels it where that was asked for; and what was never begun.
pub async fn leave(trip: Trip<'_>, left: &[Placed]) {
    let ids: Vec<Uuid> = left.iter().filter_map(|placed| placed.job()).collect();
    if trip.saving.cancel_on_interrupt {
        for id in ids {
            cancel(trip, id).await;
        }
    } else if !ids.is_empty() {
        let ids = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ");
        trip.screen.note(&format!("the downloads go on without you; to have them: haul save {ids}"));
    }
    let count = |kind: Placed| left.iter().filter(|placed| **placed == kind).count();
    match count(Placed::No) {
        0 => {}
        never => trip.screen.note(&format!("not ordered: {never}")),
    }
    match count(Placed::Perhaps) {
        0 => {}
        unheard => trip.screen.warn(&format!("perhaps ordered, the answer was lost: {unheard}; haul list shows it")),
    }
}

/// Cancels a job, and says what it is now: by this route, what was completed meanwhile stays.
async fn cancel(trip: Trip<'_>, id: Uuid) {
    let path = ["downloads", &id.to_string(), "cancel"];
    let ask = async || trip.client.call(Method::POST, &path).send().await?.read::<Job>();
    match Patience::of(CANCELLING.min(trip.saving.patience)).insist(ask).await {
        Ok(job) => trip.screen.note(&format!("{id} is {}", job.status.word())),
        Err(error) => trip.screen.error_of(&id.to_string(), &error),
    }
}

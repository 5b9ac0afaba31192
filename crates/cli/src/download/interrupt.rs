//! Ctrl-C: whoever follows a download stops following it, and is told how to go on. The job is the server's, and stays.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Trip;
use crate::error::{Error, Exit};
use crate::patience::Patience;
use crate::wire::Job;

/// How long a server that is busy is asked to cancel jobs, however many: somebody waits for the program to end.
const CANCELLING: Duration = Duration::from_secs(30);

/// Whether an order is a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is none.
    No,
    /// It was sent, and no answer said what became of it.
    Perhaps,
    /// It was named as this one, of which nothing was heard yet: it may be anybody's, or none.
    Named(Uuid),
    /// It is this one.
    As(Uuid),
}

impl Placed {
    /// The job that it is, or was named as.
    #[must_use]
    pub fn job(self) -> Option<Uuid> {
        match self {
            Self::As(id) | Self::Named(id) => Some(id),
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
pub async fn leave(trip: Trip<'_>, left: Vec<Placed>) {
    let (mut never, mut unheard, mut named, mut under_way) = (0, 0, Vec::new(), Vec::new());
    for placed in left {
        match placed {
            Placed::No => never += 1,
            Placed::Perhaps => unheard += 1,
            Placed::Named(id) => named.push(id),
            Placed::As(id) => under_way.push(id),
        }
    }
    let line = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ");
    if trip.saving.cancel_on_interrupt {
        cancel(trip, &under_way).await;
        if !named.is_empty() {
            trip.screen.note(&format!("not begun, and left as they are: {}", line(&named)));
        }
    } else {
        under_way.extend(named);
        if !under_way.is_empty() {
            let ids = line(&under_way);
            trip.screen.note(&format!("the downloads go on without you; to have them: haul save {ids}"));
        }
    }
    if never > 0 {
        trip.screen.note(&format!("not ordered: {never}"));
    }
    if unheard > 0 {
        trip.screen.warn(&format!("perhaps ordered, the answer was lost: {unheard}; haul list shows it"));
    }
}

/// Cancels jobs, and says what each is now: by this route, what was completed meanwhile stays. All at once, and within one
/// limit: they are as many as were followed at once.
async fn cancel(trip: Trip<'_>, ids: &[Uuid]) {
    let until = Instant::now() + CANCELLING;
    let ways = ids.iter().map(async |id| {
        let id = id.to_string();
        let ask = async || trip.client.call(Method::POST, &["downloads", &id, "cancel"]).send().await?.read::<Job>();
        let mut patience = Patience::of(CANCELLING.min(trip.saving.patience));
        let late = |_| Err(Error::Unfinished(format!("not known to be cancelled within {} s", CANCELLING.as_secs())));
        match timeout_at(until, patience.insist(ask)).await.unwrap_or_else(late) {
            Ok(job) => trip.screen.note(&format!("{id} is {}", job.status.word())),
            Err(error) => trip.screen.error_of(&id, &error),
        }
    });
    join_all(ways).await;
}

//! Ctrl-C: whoever follows a download stops following it, and is told how to go on. The job is the server's, and stays.

use reqwest::Method;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Trip;
use crate::error::{Error, Exit};

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

/// Says how to go on with what was not finished, or cancels it where that was asked for.
pub async fn leave(trip: Trip<'_>, left: &[Uuid]) {
    if left.is_empty() {
        return;
    }
    if !trip.saving.cancel_on_interrupt {
        let ids = left.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ");
        trip.screen.note(&format!("the downloads go on without you; to have them: haul save {ids}"));
        return;
    }
    for id in left {
        // by this route, what was completed meanwhile stays
        match trip.client.call(Method::POST, &["downloads", &id.to_string(), "cancel"]).send().await {
            Ok(_) => trip.screen.note(&format!("{id} is cancelled")),
            Err(error) => trip.screen.error_of(&id.to_string(), &error),
        }
    }
}

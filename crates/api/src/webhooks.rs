//! What webhooks are signed with, on its way from the operator to the workers, who sign.
//!
//! With an order the secrets are written by the order itself. Here it is seen to that a change counts at once for all that is
//! still to be sent: at the start of this process, and when the keys file has changed.

use std::time::{Duration, Instant};

use crate::app::App;

/// How often it is looked whether they have changed. Costs nothing while they have not.
const LOOK: Duration = Duration::from_secs(1);
/// After which they are said again: another API, of before the change perhaps, may have said others meanwhile.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Says so whenever the secrets are others, until it is dropped. Who has none says it once.
pub async fn publish(app: &App) {
    let has_none = app.keys.is_none() && app.config.webhook_secrets.is_none();
    let mut said: Option<(Instant, _)> = None;
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let own = app.keys.as_ref().map(crate::auth::KeyRing::webhook_secrets).unwrap_or_default();
        if said.as_ref().is_some_and(|(when, what)| *what == own && when.elapsed() < SAY_AGAIN) {
            continue;
        }
        match app.jobs.rotate(app.config.webhook_secrets.as_ref(), &own).await {
            // said at the start: it may have had some until then. Not again: another API may have them
            Ok(()) if has_none => return,
            Ok(()) => said = Some((Instant::now(), own)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "workers could not be told what webhooks are signed with; they will be");
            }
        }
    }
}

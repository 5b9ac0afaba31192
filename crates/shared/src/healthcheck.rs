//! What `healthcheck` asks: is the process that listens there ready?

use std::net::SocketAddr;
use std::time::Duration;

use crate::serve::local_url;

/// For the whole question.
const WITHIN: Duration = Duration::from_secs(8);

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody answered in time.
    #[error("nothing answers on {0}")]
    Silent(SocketAddr, #[source] reqwest::Error),
    /// It says that something is missing.
    #[error("not ready: {0}")]
    Says(String),
}

/// Asks `/readyz` of the process that was told to listen on `listen`.
///
/// # Errors
/// [`NotReady`].
pub async fn healthcheck(listen: SocketAddr) -> Result<(), NotReady> {
    let silent = |error| NotReady::Silent(listen, error);
    // no proxy: one that the environment names for the rest of the world knows nothing of this machine
    let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build().map_err(silent)?;
    let answer = client.get(format!("{}readyz", local_url(listen))).send().await.map_err(silent)?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(NotReady::Says(answer.text().await.map_err(silent)?))
}

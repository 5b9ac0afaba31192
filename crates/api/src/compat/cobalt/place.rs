//! Where the dialect is as its clients name it, and what its links are signed with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use jiff::Timestamp;
use tokio::time::Instant;

use super::link::LinkSecret;
use crate::app::App;
use crate::compat::mount::Mount;
use crate::error::ApiResult;
use crate::host;

/// How long a secret is taken for the one that all APIs have: should Redis lose it, they agree on another one after so long.
const AGREED: Duration = Duration::from_secs(60);

/// The dialect's place in this process.
pub(super) struct Place {
    mount: Mount,
    /// When it was opened.
    pub(super) since: Timestamp,
    /// And when Redis said so.
    secret: Mutex<Option<(LinkSecret, Instant)>>,
}

impl Place {
    pub(super) fn new(mount: Mount) -> Self {
        Self { mount, since: Timestamp::now(), secret: Mutex::default() }
    }

    /// Its address, with `/` at its end. At a host it has the port that this request came by, if the place has none of its own.
    pub(super) fn url(&self, app: &App, request: &Request) -> String {
        match &self.mount {
            Mount::Path(path) => format!("{}{path}/", app.base_url.as_str().trim_end_matches('/')),
            Mount::Host(host, port) => {
                let port = port.or_else(|| host::named(request)?.port_u16());
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{host}{port}/", app.base_url.scheme())
            }
        }
    }

    /// What links are signed with. Asked for again now and then; where Redis has lost it, what this process knows is put there,
    /// and every link stays good, unless another API came first.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub(super) async fn secret(&self, app: &App) -> ApiResult<LinkSecret> {
        let known = *self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((secret, _)) = known.filter(|(_, at)| at.elapsed() < AGREED) {
            return Ok(secret);
        }
        let own = known.map(|(secret, _)| secret.into());
        let agreed = LinkSecret::from(app.jobs.link_secret(own).await?);
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some((agreed, Instant::now()));
        Ok(agreed)
    }
}
